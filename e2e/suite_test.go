//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
)

// start installs an appliance in a lab of its own, for as long as the test runs. The context bounds the test.
func start(t testing.TB, limit time.Duration, args ...string) (context.Context, *installation.Installation) {
	t.Helper()

	return startOn(t, limit, installation.Config{Args: args})
}

// startOn is start on a LAN of another kind. The folder is made.
func startOn(t testing.TB, limit time.Duration, config installation.Config) (context.Context, *installation.Installation) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)

	config.Dir = folder(t)

	i, err := installation.New(ctx, config)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := i.Close(); err != nil {
			t.Error(err)
		}

		if t.Failed() {
			showLog(t, i.Log.Path())
		}
	})

	return ctx, i
}

// folder is a temporary folder that other users may enter, so that only what is in it keeps them out.
func folder(t testing.TB) string {
	t.Helper()

	dir := t.TempDir()
	for _, level := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(level, 0o755); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

// showLog prints a log whose folder goes away with the test, but for what libraries say at debug level.
func showLog(t testing.TB, path string) {
	t.Helper()

	log, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}

	var text strings.Builder

	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, "level=DEBUG") || !strings.Contains(line, " component=") {
			text.WriteString(line)
		}
	}

	t.Logf("%s:\n%s", filepath.Base(path), text.String())
}

// must is for what the test cannot go on without.
func must[T any](t testing.TB, value T, err error) T {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}

	return value
}

func admin(t testing.TB, i *installation.Installation) client.WithWatch {
	t.Helper()

	c, err := i.Client()

	return must(t, c, err)
}

func server(ctx context.Context, t testing.TB, c client.Client, name string) *v1alpha2.Server {
	t.Helper()

	found := &v1alpha2.Server{}
	if err := c.Get(ctx, client.ObjectKey{Name: name}, found); err != nil {
		t.Fatal(err)
	}

	return found
}

// eventually asks until the answer is good, and fails the test with the last answer when ctx ends first.
func eventually(ctx context.Context, t testing.TB, ask func() error) {
	t.Helper()

	const pause = 50 * time.Millisecond

	for tick := time.NewTicker(pause); ; {
		err := ask()
		if err == nil {
			tick.Stop()

			return
		}

		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%v, when the time was over", err)
		}
	}
}

// logged tells whether the appliance has logged such an entry.
func logged(i *installation.Installation, message string, fields ...string) bool {
	return slices.ContainsFunc(i.Entries(), func(e installation.Entry) bool { return e.Is(message, fields...) })
}

var errNotYet = errors.New("not yet")

// fileHolds tells whether a part of the file is these bytes.
func fileHolds(t testing.TB, path string, offset int64, want []byte) bool {
	t.Helper()

	file, err := os.Open(path)
	defer must(t, file, err).Close()

	got := make([]byte, len(want))
	if _, err := file.ReadAt(got, offset); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}

	return bytes.Equal(got, want)
}
