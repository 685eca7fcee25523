package appliance

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module     = "github.com/sidero-appliance/sidero-appliance"
	everything = "everything"
)

// room is a row of the house's table.
type room struct {
	path string // without the final slash
	may  []string
}

// house reads the table of docs/architecture.md.
func house(t *testing.T) []room {
	t.Helper()
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	var rooms []room
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z0-9.-]+)/?` \\| .* \\| ([^|]*) \\|$").FindAllStringSubmatch(string(text), -1) {
		r := room{path: row[1]}
		for _, m := range quoted.FindAllStringSubmatch(row[2], -1) {
			r.may = append(r.may, m[1])
		}
		if row[2] == everything {
			r.may = []string{everything}
		}
		rooms = append(rooms, r)
	}
	if len(rooms) < 8 {
		t.Fatalf("found %d rooms in the table of docs/architecture.md: %v", len(rooms), rooms)
	}
	return rooms
}

// mayImport says whether a file of the room may import the package, both as
// paths within the module.
func (r room) mayImport(imported string) bool {
	if within(imported, r.path) || slices.Contains(r.may, everything) {
		return imported != "appliance" && !within(imported, "appliance") || within("appliance", r.path)
	}
	return slices.ContainsFunc(r.may, func(p string) bool { return within(imported, p) })
}

func within(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// source is a Go file of this repository.
type source struct {
	path string // within the repository
	ast  *ast.File
}

// sources parses every file that is not a test.
func sources(t *testing.T) []source {
	t.Helper()
	root := os.DirFS("..")
	var files []source
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{"testdata", "bin", "tools"}, d.Name()) || strings.HasPrefix(d.Name(), ".") && p != "."):
			return fs.SkipDir
		case d.IsDir() || path.Ext(p) != ".go" || strings.HasSuffix(p, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", p), nil, parser.ParseComments|parser.SkipObjectResolution)
		files = append(files, source{p, file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (s source) imports(t *testing.T) []string {
	t.Helper()
	var paths []string
	for _, spec := range s.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	return paths
}

// TestHouse holds every import to the table of docs/architecture.md.
func TestHouse(t *testing.T) {
	rooms := house(t)
	occupied := map[string]bool{}
	for _, file := range sources(t) {
		at := slices.IndexFunc(rooms, func(r room) bool { return within(file.path, r.path) })
		if at < 0 {
			t.Errorf("%s is in no room of docs/architecture.md", file.path)
			continue
		}
		occupied[rooms[at].path] = true
		for _, p := range file.imports(t) {
			inside, ours := strings.CutPrefix(p, module+"/")
			if ours && !rooms[at].mayImport(inside) {
				t.Errorf("%s imports %s, which docs/architecture.md does not allow %s", file.path, inside, rooms[at].path)
			}
		}
	}
	for _, r := range rooms {
		if !occupied[r.path] {
			t.Errorf("docs/architecture.md has the room %s, where nothing is", r.path)
		}
	}
}

func TestProtocolPackagesKnowNoKubernetes(t *testing.T) {
	for _, file := range sources(t) {
		if !within(file.path, "netboot/dhcp") && !within(file.path, "netboot/tftp") && !within(file.path, "power") {
			continue
		}
		for _, p := range file.imports(t) {
			if strings.Contains(p, "k8s.io/") || strings.Contains(p, "/apiserver/") {
				t.Errorf("%s imports %s", file.path, p)
			}
		}
	}
}

// TestNoInit allows init functions in generated code only.
func TestNoInit(t *testing.T) {
	for _, file := range sources(t) {
		if ast.IsGenerated(file.ast) {
			continue
		}
		for _, d := range file.ast.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", file.path)
			}
		}
	}
}

func TestRules(t *testing.T) {
	netboot := room{"netboot", []string{"apiserver/apis", "assets"}}
	for imported, want := range map[string]bool{
		"netboot/dhcp": true, "assets": true, "assets/debian": true, "apiserver/apis/metal/v1alpha2": true,
		"apiserver": false, "apiserver/apisx": false, "storage": false, "appliance": false, "assetsx": false,
	} {
		if netboot.mayImport(imported) != want {
			t.Errorf("netboot may import %s: %t, want %t", imported, !want, want)
		}
	}
	e2e := room{"e2e", []string{everything}}
	if e2e.mayImport("appliance") || e2e.mayImport("appliance/network") || !e2e.mayImport("storage") {
		t.Error("everything must be all but the appliance")
	}
	root := room{"appliance", []string{everything}}
	if !root.mayImport("appliance/network") || !root.mayImport("storage") {
		t.Error("the appliance may import everything")
	}
}
