package declared_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/netboot/internal/declared"
)

func TestStrings(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("package p\n"+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("a.go", "type R string\nconst (\n\tB R = \"b\"\n\tA R = \"a\"\n\tother = \"x\"\n\tS string = \"y\"\n)\n")
	write("c.go", "const C R = \"c\"\n")
	write("d_test.go", "const D R = \"d\"\n")
	got, err := declared.Strings(dir, "R")
	if want := []string{"a", "b", "c"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	write("e.go", "const E R = \"e\" + \"f\"\n")
	if _, err := declared.Strings(dir, "R"); err == nil {
		t.Error("a value that cannot be read was left out in silence")
	}
}
