// Package deploy holds what puts the appliance on a machine: the systemd unit
// and its user. "make install" and "make uninstall" copy and remove them. There
// is no code here but the tests.
package deploy
