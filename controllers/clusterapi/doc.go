// Package clusterapi runs Cluster API's own reconcilers, unmodified, for as long as the appliance holds the Lease that
// Cluster API's manager takes. The kinds themselves and their webhooks are part of the API (apiserver/clusterapi) and are
// served whether the reconcilers run here or elsewhere.
package clusterapi
