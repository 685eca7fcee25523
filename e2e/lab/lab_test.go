//go:build e2e

package lab_test

import (
	"context"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

// newLab builds a lab that ends with the test, and a context that ends a minute
// before the test is out of time.
func newLab(t *testing.T) (context.Context, *lab.Lab) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	l, err := lab.New(ctx, lab.Config{Dir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return ctx, l
}

func output(t *testing.T, node *lab.Node, cmd *exec.Cmd) string {
	t.Helper()
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := node.Run(cmd); err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, out.String())
	}
	return out.String()
}

func TestLabHasNoWayOut(t *testing.T) {
	ctx, l := newLab(t)
	if routes := output(t, l.Node, l.Command(ctx, "ip", "route", "show", "default")); routes != "" {
		t.Errorf("default route: %s", routes)
	}
	if _, err := l.Dial(ctx, "tcp", "192.0.2.1:80"); err == nil || !strings.Contains(err.Error(), "network is unreachable") {
		t.Errorf("dialling out of the lab: %v", err)
	}
	links := output(t, l.Node, l.Command(ctx, "ip", "-brief", "link"))
	if lines := strings.Split(strings.TrimSpace(links), "\n"); len(lines) != 3 {
		t.Errorf("want lo, br0 and the LAN's port, got:\n%s", links)
	}
}

func TestProgramsOfTheLabMeetThisProcess(t *testing.T) {
	ctx, l := newLab(t)
	listener, err := l.Listen(ctx, "tcp", lab.ApplianceAddress+":80")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("hello " + r.RemoteAddr))
	})}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })

	guest, err := l.Attach(ctx, "guest")
	if err != nil {
		t.Fatal(err)
	}
	output(t, guest, guest.Command(ctx, "ip", "address", "add", "172.30.0.9/24", "dev", "eth0"))
	client := &http.Client{Transport: &http.Transport{DialContext: guest.Dial}}
	t.Cleanup(client.CloseIdleConnections)
	response, err := client.Get("http://" + lab.ApplianceAddress + "/")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	page := output(t, guest, guest.Command(ctx, "curl", "--silent", "http://"+lab.ApplianceAddress+"/"))
	if !strings.HasPrefix(page, "hello 172.30.0.9:") {
		t.Errorf("curl on the guest got %q", page)
	}
}

func TestCommandRefusesToStartOutsideOfTheLab(t *testing.T) {
	ctx, l := newLab(t)
	if err := l.Command(ctx, "true").Run(); err == nil {
		t.Error("the program ran in the host's network")
	}
}

func TestTwoLabsSideBySide(t *testing.T) {
	ctx, first := newLab(t)
	_, second := newLab(t)
	for _, l := range []*lab.Lab{first, second} {
		listener, err := l.Listen(ctx, "tcp", lab.ApplianceAddress+":8081")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
	}
}
