package redfish

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// FuzzAnswers is a BMC that answers everything with the same.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		"", "null", "{}", "[]", "{", `{"Systems":null,"Links":[]}`, `{"Systems":{"@odata.id":"/x"},"Members":[{"@odata.id":"/x"}],"PowerState":"On"}`,
		`{"Members":[{"@odata.id":"/x"}],"Members@odata.nextLink":"/x"}`, `{"Members":[{"@odata.id":"@x"}]}`, `{"Members":[{"@odata.id":"%zz"}]}`,
		`{"Members":[{"@odata.id":"/x"}],"PowerState":7,"Boot":{"BootSourceOverrideTarget@Redfish.AllowableValues":[null,{}]}}`,
		`{"Members":[{"@odata.id":"/x"}],"PowerState":"Off","Boot":null,"Actions":{"#ComputerSystem.Reset":{"target":"","@Redfish.ActionInfo":"/x"}}}`,
		`{"error":{"@Message.ExtendedInfo":[null,{"Message":"\u0000"}]}}`,
	} {
		f.Add(seed, 200)
		f.Add(seed, 401)
		f.Add(seed, 404)
	}
	f.Fuzz(func(t *testing.T, body string, code int) {
		if code < 200 || code > 599 {
			t.Skip()
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Auth-Token", "token")
			if r.Method == http.MethodGet || code != http.StatusOK {
				w.WriteHeader(code)
			}
			_, _ = w.Write([]byte(body))
		}))
		defer server.Close()
		d, err := New(Config{Endpoint: server.URL, User: "admin", Password: "password", Settle: time.Nanosecond})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if state, err := d.State(ctx); err != nil && state != power.Unknown {
			t.Errorf("state is %s with %v", state, err)
		}
		_ = d.Cycle(ctx)
		_ = d.BootFromNetwork(ctx, power.UEFI)
		_ = d.BootFromHTTP(ctx, "http://10.0.0.1/x")
		if ctx.Err() != nil {
			t.Error("the calls do not end")
		}
	})
}
