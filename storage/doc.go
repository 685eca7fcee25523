// Package storage keeps the appliance's state: an etcd server embedded in the process.
//
// The server listens on unix sockets below the data directory only, so no port is opened and no other user of the host
// can connect. Nothing of Kubernetes lives here: the API server gets an endpoint to dial, and no more.
package storage
