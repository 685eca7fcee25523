// Package logging makes the appliance's one log, on log/slog, and leads the
// logs of the libraries into it: klog (Kubernetes), logr (controller-runtime),
// zap (etcd) and the standard log package.
//
// The rules: keys are snake_case; what libraries call informative is debug
// detail to an appliance's owner, so it moves down one level; lines that look
// alarming and are known to be harmless move down to debug, each with its
// reason in a table. Warnings and errors of libraries otherwise stay what they are.
package logging
