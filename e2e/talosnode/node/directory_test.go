package node_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/node"
)

// TestDirectory wants of each wipe what Talos leaves.
func TestDirectory(t *testing.T) {
	for _, test := range []struct {
		labels          []string
		installed, data bool
		configuration   string
	}{
		{[]string{"STATE"}, true, true, ""},
		{[]string{"EPHEMERAL"}, true, false, "c"},
		{[]string{"STATE", "EPHEMERAL"}, true, false, ""},
		{nil, false, false, ""},
	} {
		d := node.Directory{Path: filepath.Join(t.TempDir(), "state"), Root: t.TempDir()}
		if i, err := d.Load(); i != nil || err != nil {
			t.Fatalf("at first: %v, %v", i, err)
		}
		if err := d.Install(node.Installation{Configuration: []byte("c"), Release: "v1.13.6", Args: "a"}); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(d.Root, "etcd", "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := d.Wipe(test.labels...); err != nil {
			t.Fatal(err)
		}
		i, err := d.Load()
		if err != nil || (i != nil) != test.installed {
			t.Fatalf("%q: %v, %v", test.labels, i, err)
		}
		if i != nil && (string(i.Configuration) != test.configuration || i.Release != "v1.13.6" || i.Args != "a") {
			t.Errorf("%q: installed is %+v", test.labels, i)
		}
		if _, err := os.Stat(filepath.Join(d.Root, "etcd")); (err == nil) != test.data {
			t.Errorf("%q: data: %v", test.labels, err)
		}
	}
}
