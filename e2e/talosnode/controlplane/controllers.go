package controlplane

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/kubernetes/pkg/controller/certificates/approver"
	"k8s.io/kubernetes/pkg/controller/certificates/signer"
	"k8s.io/kubernetes/pkg/controller/nodelifecycle"
)

// What the controller manager has by default.
const (
	leadsFor    = 15 * time.Second
	renewWithin = 10 * time.Second
	retries     = 2 * time.Second

	monitorPeriod   = 5 * time.Second
	startupGrace    = time.Minute
	monitorGrace    = 50 * time.Second
	evictions       = 0.1
	fewEvictions    = 0.01
	largeCluster    = 50
	unhealthyZone   = 0.55
	certificateLife = 365 * 24 * time.Hour
	workers         = 1
)

// managerName is the user, and the Lease, of the controller manager.
const managerName = "kube-controller-manager"

// manage runs the controllers while no other control plane node does. It ends when the lead is lost.
func (p *ControlPlane) manage(ctx context.Context) error {
	// The controllers have no service accounts, whose tokens the real manager gives them, so that their user may do all.
	access, err := p.as("system:"+managerName, "system:masters")
	if err != nil {
		return err
	}

	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return fmt.Errorf("make client of controllers: %w", err)
	}

	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, "kube-system", managerName, client.CoreV1(), client.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: p.Node})
	if err != nil {
		return fmt.Errorf("elect leader: %w", err)
	}

	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: leadsFor, RenewDeadline: renewWithin, RetryPeriod: retries, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				if err := p.lead(ctx, client); err != nil {
					p.Log.Error("controllers could not be started", "error", err)
				}
			},
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return fmt.Errorf("elect leader: %w", err)
	}

	elector.Run(ctx)

	return nil
}

// lead runs the controllers until the context ends.
func (p *ControlPlane) lead(ctx context.Context, client kubernetes.Interface) error {
	p.Log.Info("runs the cluster's controllers")

	known := informers.NewSharedInformerFactory(client, 0)
	requests := known.Certificates().V1().CertificateSigningRequests()

	nodes, err := nodelifecycle.NewNodeLifecycleController(ctx, known.Coordination().V1().Leases(), known.Core().V1().Pods(),
		known.Core().V1().Nodes(), known.Apps().V1().DaemonSets(), client, monitorPeriod, startupGrace, monitorGrace,
		evictions, fewEvictions, largeCluster, unhealthyZone)
	if err != nil {
		return fmt.Errorf("make node-lifecycle controller: %w", err)
	}

	approval := approver.NewCSRApprovingController(ctx, client, requests)

	signing, err := signer.NewKubeletClientCSRSigningController(ctx, client, requests, p.file(kubernetesCA+".crt"), p.file(kubernetesCA+".key"),
		certificateLife)
	if err != nil {
		return fmt.Errorf("make csrsigning controller: %w", err)
	}

	known.Start(ctx.Done())

	var all sync.WaitGroup

	all.Go(func() { nodes.Run(ctx) })
	all.Go(func() { approval.Run(ctx, workers) })
	all.Go(func() { signing.Run(ctx, workers) })
	all.Wait()
	known.Shutdown()

	return nil
}
