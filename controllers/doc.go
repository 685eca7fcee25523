// Package controllers runs the appliance's own controllers around one cache of the API's objects, which the boot server
// reads as well. Each controller has a folder of its own below this one; Kubernetes's controllers are in kube.
package controllers
