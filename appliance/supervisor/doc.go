// Package supervisor starts the appliance's components in order, watches over
// them and stops them in the opposite order.
//
// What runs concurrently in the appliance is visible in one place: the list of
// components handed to [New]. The rules, from docs/architecture.md:
//
//   - A component starts when the one before it is ready.
//   - Each component has a context of its own, derived from
//     context.Background(), which is cancelled only after the component started
//     after it has returned. So the database outlives the API server, and the
//     API server outlives whatever talks to it.
//   - A component that returns before it was told to ends everything, with its
//     error.
//   - Stopping is bounded in time. Components that let running transfers finish
//     say so by implementing [Drainer] and get a bound of their own.
//
// Which components there are, and their order, is not decided here.
package supervisor
