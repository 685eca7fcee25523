// Package clusterapi puts Cluster API's own groups into the API: its CustomResourceDefinitions, and in this process the
// webhooks that default, validate and convert their objects, without Services, certificates or a port.
//
// The webhooks are upstream's. What is added to them: an object that names a kind that nobody has defined is refused, and
// reading objects of an older version never fails because one of them names a kind that is gone.
package clusterapi
