// Package conformance holds one table of what clients expect of any kind: reading and writing, watches, server-side apply,
// validation, pages, subresources, deletion, rights, admission. Its tests run each case of the table unchanged for native
// kinds, for custom resources in a group of their own and for custom resources in a native group. To hold another kind to
// the table, describe it in subjects_test.go.
package conformance
