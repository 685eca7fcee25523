package installation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	controlplanev1 "github.com/sidero-appliance/sidero-appliance/apiserver/apis/controlplane/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/infrastructure/v1alpha3"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// Endpoint is where machines reach the appliance.
const Endpoint = lab.ApplianceAddress + ":8081"

// Client is the admin's client, made with the kubeconfig as it is now.
func (i *Installation) Client() (client.WithWatch, error) {
	config, err := i.Admin()
	if err != nil {
		return nil, err
	}

	config.QPS = -1 // as fast as the test asks

	types := runtime.NewScheme()
	if err := errors.Join(
		v1alpha2.AddToScheme(types), v1alpha3.AddToScheme(types), corev1.AddToScheme(types), eventsv1.AddToScheme(types),
		clusterv1.AddToScheme(types), controlplanev1.AddToScheme(types),
	); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}

	return client.NewWithWatch(config, client.Options{Scheme: types})
}

// Machines is a connection to where machines register, for programs that stand for machines.
func (i *Installation) Machines() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+Endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return i.Lab.Dial(ctx, "tcp", address) }),
		// An appliance that was restarted is found again at once.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1, MaxDelay: 50 * time.Millisecond},
			MinConnectTimeout: time.Second,
		}),
	)
}
