package controlplane

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
)

// arguments are those that Talos starts an API server with, as far as they matter without workloads.
func (p *ControlPlane) arguments() []string {
	return []string{
		"--advertise-address=" + p.Address.String(),
		"--bind-address=0.0.0.0",
		fmt.Sprintf("--secure-port=%d", p.Cluster.LocalAPIServerPort()),
		"--anonymous-auth=false",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--enable-bootstrap-token-auth=true",
		"--allow-privileged=true",
		"--profiling=false",
		"--client-ca-file=" + p.file(kubernetesCA+".crt"),
		"--tls-cert-file=" + p.file(servingName+".crt"),
		"--tls-private-key-file=" + p.file(servingName+".key"),
		"--etcd-servers=https://127.0.0.1:2379",
		"--etcd-cafile=" + p.file(etcdCA+".crt"),
		"--etcd-certfile=" + p.file(etcdClient+".crt"),
		"--etcd-keyfile=" + p.file(etcdClient+".key"),
		"--requestheader-client-ca-file=" + p.file(aggregatorCA+".crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file=" + p.file(proxyClient+".crt"),
		"--proxy-client-key-file=" + p.file(proxyClient+".key"),
		"--service-account-issuer=" + p.Cluster.Endpoint().String(),
		"--service-account-key-file=" + p.file(accounts),
		"--service-account-signing-key-file=" + p.file(accounts),
		"--service-cluster-ip-range=" + strings.Join(p.Cluster.Network().ServiceCIDRs(), ","),
	}
}

// serve is the API server.
func (p *ControlPlane) serve(ctx context.Context) error {
	o := options.NewServerRunOptions()

	flags := pflag.NewFlagSet("kube-apiserver", pflag.ContinueOnError)
	for _, set := range o.Flags().FlagSets {
		flags.AddFlagSet(set)
	}

	if err := flags.Parse(p.arguments()); err != nil {
		return fmt.Errorf("configure API server: %w", err)
	}

	if err := o.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return fmt.Errorf("configure API server: %w", err)
	}

	completed, err := o.Complete(ctx)
	if err != nil {
		return fmt.Errorf("configure API server: %w", err)
	}

	if wrong := completed.Validate(); len(wrong) > 0 {
		return fmt.Errorf("configure API server: %w", utilerrors.NewAggregate(wrong))
	}

	if err := app.Run(ctx, completed); err != nil {
		return fmt.Errorf("run API server: %w", err)
	}

	return nil
}
