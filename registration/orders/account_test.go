package orders_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/orders"
)

func from(name, key string) *v1alpha2.CredentialSource {
	return &v1alpha2.CredentialSource{SecretKeyRef: &v1alpha2.SecretKeyRef{Namespace: "default", Name: name, Key: key}}
}

// own is a BMC with an account that machine "m" has made.
func own() *v1alpha2.BMC {
	return &v1alpha2.BMC{Endpoint: "10.0.9.1", UserFrom: from("m-bmc", "user"), PassFrom: from("m-bmc", "pass")}
}

func TestAccountSetup(t *testing.T) {
	made := orders.Account{User: "sidero"}
	missing := orders.Account{Gone: true}
	fresh, placed := &api.BMCSetup{}, &api.BMCSetup{EndpointKnown: true}
	rotation := &api.BMCSetup{UserInUse: "sidero", EndpointKnown: true}

	for name, test := range map[string]struct {
		bmc     *v1alpha2.BMC
		account orders.Account
		refused bool // not accepted
		asked   bool // to rotate
		manual  bool // without --auto-bmc-setup
		want    *api.BMCSetup
	}{
		"nothing known":                {want: fresh},
		"not accepted":                 {refused: true},
		"not accepted, to rotate":      {refused: true, bmc: own(), account: made, asked: true},
		"switched off":                 {manual: true},
		"a person told the address":    {bmc: &v1alpha2.BMC{Endpoint: "bmc-1", Port: 6230}, want: placed},
		"a person's, literal":          {bmc: &v1alpha2.BMC{Endpoint: "bmc-1", User: "root", Pass: "calvin"}},
		"a person's, half":             {bmc: &v1alpha2.BMC{Endpoint: "bmc-1", User: "root"}},
		"a person's Secret":            {bmc: &v1alpha2.BMC{Endpoint: "bmc-1", UserFrom: from("rack-7", "user"), PassFrom: from("rack-7", "pass")}},
		"a person's, to rotate":        {bmc: &v1alpha2.BMC{Endpoint: "bmc-1", User: "root", Pass: "calvin"}, asked: true},
		"a person's before the own":    {bmc: &v1alpha2.BMC{Pass: "calvin", UserFrom: own().UserFrom, PassFrom: own().PassFrom}, account: missing, asked: true},
		"made":                         {bmc: own(), account: made},
		"made, Secret gone":            {bmc: own(), account: missing, want: placed},
		"made, Secret gone, to rotate": {bmc: own(), account: missing, asked: true, want: placed},
		"made, Secret gone, off":       {bmc: own(), account: missing, manual: true},
		"to rotate":                    {bmc: own(), account: made, asked: true, want: rotation},
		"to rotate, off":               {bmc: own(), account: made, asked: true, manual: true, want: rotation},
		"to rotate what is not there":  {asked: true, want: fresh},
	} {
		server := &v1alpha2.Server{ObjectMeta: metav1.ObjectMeta{Name: "m"}, Spec: v1alpha2.ServerSpec{Accepted: !test.refused, BMC: test.bmc}}
		if test.asked {
			server.Annotations = map[string]string{v1alpha2.RotateBMCAnnotation: ""}
		}

		if got := orders.AccountSetup(server, test.account, !test.manual); !proto.Equal(got, test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// TestWithAccount: a machine is told of each change, but a wipe does not begin anew.
func TestWithAccount(t *testing.T) {
	for order, changes := range map[api.Order]bool{api.Order_STAY: true, api.Order_WIPE: false, api.Order_REBOOT: true} {
		seen := map[uint64]bool{}

		for _, setup := range []*api.BMCSetup{nil, {}, {UserInUse: "sidero"}, {UserInUse: "sidero2"}} {
			next := orders.WithAccount(&api.WaitResponse{Order: order, Sequence: 7}, setup)
			if seen[next.GetSequence()] = true; !proto.Equal(next.GetBmcSetup(), setup) {
				t.Errorf("%s: %v", order, next)
			}
		}

		if (len(seen) == 4) != changes || !changes && !seen[7] {
			t.Errorf("%s: sequences are %v", order, seen)
		}
	}
}
