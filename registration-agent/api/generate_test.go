package api

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestGeneratedCodeIsFresh generates again, in a copy, and compares.
func TestGeneratedCodeIsFresh(t *testing.T) {
	if _, err := exec.LookPath("protoc"); err != nil {
		t.Fatalf("%v: install the Debian package protobuf-compiler", err)
	}
	scratch := t.TempDir()
	for _, path := range []string{"go.mod", "go.sum", "registration-agent/api/agent.proto", "registration-agent/api/facts.proto", "registration-agent/api/orders.proto", "registration-agent/api/generate.sh"} {
		content, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(scratch, filepath.Dir(path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(scratch, path), content, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), filepath.Join(scratch, "registration-agent/api/generate.sh")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"agent.pb.go", "agent_grpc.pb.go", "facts.pb.go", "facts_grpc.pb.go", "orders.pb.go", "orders_grpc.pb.go"} {
		want, err := os.ReadFile(filepath.Join(scratch, "registration-agent/api", name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run make generate", name)
		}
	}
}
