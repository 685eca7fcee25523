// Package kubelet is what others see of a node's kubelet: it gets a certificate by the cluster's bootstrap token, registers its Node,
// and then renews its Lease and tells that it is ready. It runs no pods.
package kubelet

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Config is what a kubelet is made of.
type Config struct {
	// Folder of its certificate.
	Folder string
	// URL of the API server, and Authority of the cluster in PEM.
	URL       string
	Authority []byte
	// Token is the bootstrap token, ID.SECRET.
	Token string
	Node  Node
	Log   *slog.Logger
}

// Node is what it says of its node.
type Node struct {
	Name      string
	Addresses []netip.Addr
	Labels    map[string]string
	Taints    []corev1.Taint
	// UUID of the machine, Image that it runs, and Version of the kubelet, such as v1.36.2.
	UUID, Image, Version string
}

// What a real one does by default.
const (
	leaseLasts   = 40 * time.Second
	renewsAfter  = leaseLasts / 4
	reportsAfter = 5 * time.Minute
	triesAgain   = 2 * time.Second
	asksWithin   = 10 * time.Second
)

// Kubelet is one. Make it with New.
type Kubelet struct {
	Config

	ready  chan struct{} // closed when the Node is registered
	client atomic.Pointer[kubernetes.Clientset]
	beats  atomic.Int64 // when the Lease was renewed last, in Unix nanoseconds
}

// New makes a kubelet that does not run yet.
func New(c Config) *Kubelet { return &Kubelet{Config: c, ready: make(chan struct{})} }

// Registered is closed when there is a Node.
func (k *Kubelet) Registered() <-chan struct{} { return k.ready }

// Healthy tells whether the Lease is kept up.
func (k *Kubelet) Healthy() bool {
	return time.Since(time.Unix(0, k.beats.Load())) < leaseLasts
}

// Client is the kubelet's own, nil before it has its certificate.
func (k *Kubelet) Client() kubernetes.Interface {
	if client := k.client.Load(); client != nil {
		return client
	}

	return nil
}

// Run is the kubelet's life, until the context ends.
func (k *Kubelet) Run(ctx context.Context) error {
	client, ok := untilDone(ctx, k, "get a certificate of kubelet", k.connect)
	if !ok {
		return nil
	}

	k.client.Store(client)

	if _, ok := untilDone(ctx, k, "register Node", func(ctx context.Context) (struct{}, error) { return struct{}{}, k.register(ctx, client) }); !ok {
		return nil
	}

	k.Log.Info("the node is registered", "node", k.Node.Name, "kubelet", k.Node.Version)
	close(k.ready)

	var reported time.Time

	for pause := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}

		err := k.beat(ctx, client, time.Since(reported) > reportsAfter)
		if pause = renewsAfter; err != nil {
			k.Log.Warn("kubelet could not report", "error", err)

			pause = triesAgain
		} else if time.Since(reported) > reportsAfter {
			reported = time.Now()
		}
	}
}

// untilDone repeats something that waits for others.
func untilDone[R any](ctx context.Context, k *Kubelet, what string, do func(context.Context) (R, error)) (R, bool) {
	var last string

	for {
		asking, cancel := context.WithTimeout(ctx, time.Minute)
		result, err := do(asking)

		cancel()

		if err == nil {
			return result, true
		}

		if text := err.Error(); text != last && ctx.Err() == nil {
			k.Log.Info("kubelet has to wait", "stage", what, "reason", text)
			last = text
		}

		select {
		case <-ctx.Done():
			return result, false
		case <-time.After(triesAgain):
		}
	}
}

// connect is a client with the kubelet's certificate.
func (k *Kubelet) connect(ctx context.Context) (*kubernetes.Clientset, error) {
	pair, err := k.certificate(ctx)
	if err != nil {
		return nil, err
	}

	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: k.URL, Timeout: asksWithin,
		TLSClientConfig: rest.TLSClientConfig{CAData: k.Authority, CertData: pair.Certificate, KeyData: pair.Key},
	})
	if err != nil {
		return nil, fmt.Errorf("make client of kubelet: %w", err)
	}

	return client, nil
}

// register makes the Node, or brings one that is there up to date.
func (k *Kubelet) register(ctx context.Context, client kubernetes.Interface) error {
	nodes := client.CoreV1().Nodes()

	_, err := nodes.Create(ctx, k.Node.Object(), metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			return fmt.Errorf("create Node: %w", err)
		}

		return nil
	}

	there, err := nodes.Get(ctx, k.Node.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("read Node: %w", err)
	}

	if there.Labels == nil {
		there.Labels = map[string]string{}
	}

	for key, value := range k.Node.labels() {
		there.Labels[key] = value
	}

	if _, err := nodes.Update(ctx, there, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("update Node: %w", err)
	}

	return nil
}
