package offline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets"
)

const (
	// leastParts of a URL's address have to be in a file's path.
	leastParts = 2
	// mostFiles bounds how many are looked at: somebody may have put a whole disk there.
	mostFiles = 10_000
	// maxName is the length of a file's name in bytes, of every file system that matters.
	maxName = 255
)

// Folder is where people put files. It is safe for concurrent use. Symbolic links that lead out of it are not followed: who works in it may
// be root, and who owns it may not.
type Folder struct {
	base, within string // the folder is within the base, and symbolic links to it do not lead out of that
	dir          string // both, for people

	mu     sync.Mutex
	hashed map[string]hashed // by name
}

// hashed is the digest of a file, and what tells whether it is still the same.
type hashed struct {
	size    int64
	changed time.Time
	digest  string
}

// Open uses a folder, which is created when missing and then belongs to the owner of the one above it, which must exist.
func Open(dir string) (*Folder, error) { return OpenIn(filepath.Dir(dir), filepath.Base(dir)) }

// OpenIn uses a folder within another one, which must exist. What is missing on the way is created, and belongs to the owner of the
// one above it. Symbolic links on the way may not lead out of the base.
func OpenIn(base, within string) (*Folder, error) {
	f := &Folder{base: base, within: within, dir: filepath.Join(base, within), hashed: map[string]hashed{}}
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, fmt.Errorf("create folder for files brought by hand: %w", err)
	}
	defer root.Close()
	if err := makeFolder(root, within); err != nil {
		return nil, fmt.Errorf("create folder for files brought by hand, in %s: %w", base, err)
	}
	return f, nil
}

// root is the folder, out of which nothing leads.
func (f *Folder) root() (*os.Root, error) {
	base, err := os.OpenRoot(f.base)
	if err != nil {
		return nil, err
	}
	defer base.Close()
	return base.OpenRoot(f.within)
}

// File is one that was found.
type File struct {
	// Name within the folder.
	Name string
	// Size in bytes.
	Size int64
	// Changed is when somebody last wrote to it or moved it here.
	Changed time.Time

	folder *Folder
}

// Path is where the file of a URL is looked for first. The error says why there can be no such file.
func (f *Folder) Path(address string) (string, error) {
	name, err := nameOf(address)
	if err != nil {
		return "", err
	}
	return filepath.Join(f.dir, filepath.FromSlash(name)), nil
}

// nameOf is HOST/PATH of a URL, with its query as wget writes it.
func nameOf(address string) (string, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("parse URL: %w", err)
	}
	name := path.Join(parsed.Host, path.Clean("/"+parsed.Path))
	if parsed.RawQuery != "" {
		name += "?" + strings.ReplaceAll(parsed.RawQuery, "/", "%2F")
	}
	name = strings.TrimPrefix(name, "/")
	for _, part := range strings.Split(name, "/") {
		if part == "" || len(part) > maxName || strings.HasPrefix(part, ".") || strings.ContainsRune(part, 0) {
			return "", fmt.Errorf("find a file name for URL %s: %q cannot be one", parsed.Redacted(), part)
		}
	}
	return name, nil
}

// Find looks for the file of a URL, and for one with any of the digests (SHA-512 in lower-case hexadecimal). The error is
// fs.ErrNotExist when there is none, or when it is still being written.
func (f *Folder) Find(ctx context.Context, address string, digests ...string) (File, error) {
	root, err := f.root()
	if err != nil {
		return File{}, fmt.Errorf("look for files brought by hand: %w", err)
	}
	defer root.Close()
	names, err := list(root)
	if err != nil {
		return File{}, fmt.Errorf("look for files brought by hand: %w", err)
	}
	if wanted, err := nameOf(address); err == nil {
		if name := best(names, wanted); name != "" {
			return f.describe(root, name)
		}
	}
	for _, name := range names {
		if len(digests) == 0 {
			break
		}
		if file, err := f.describe(root, name); err == nil && slices.Contains(digests, f.digest(ctx, root, file)) {
			return file, nil
		}
	}
	return File{}, &fs.PathError{Op: "find file brought by hand", Path: address, Err: fs.ErrNotExist}
}

// list returns the names of all regular files. Hidden ones are those that rsync and the like have not finished.
func list(root *os.Root) ([]string, error) {
	var names []string
	err := fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && name != ".":
			return nil // one folder that cannot be read does not hide the others
		case err != nil:
			return err
		case name != "." && strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
			return fs.SkipDir
		case len(names) >= mostFiles:
			return fs.SkipAll
		case entry.Type().IsRegular() && !strings.HasPrefix(entry.Name(), "."):
			names = append(names, name)
		}
		return nil
	})
	return names, err
}

// best is the name that shares the most parts with the one that is wanted, "" when none has enough.
func best(names []string, wanted string) string {
	found, most := "", 0
	for _, name := range names {
		parts := 1 + strings.Count(name, "/")
		fits := name == wanted || parts >= leastParts && strings.HasSuffix(wanted, "/"+name)
		if fits && parts > most {
			found, most = name, parts
		}
	}
	return found
}

func (f *Folder) describe(root *os.Root, name string) (File, error) {
	file, err := root.Open(name)
	if err != nil {
		return File{}, fmt.Errorf("read file brought by hand: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return File{}, fmt.Errorf("read file brought by hand: %w", err)
	}
	if !info.Mode().IsRegular() || !settled(file, info) {
		return File{}, &fs.PathError{Op: "read file brought by hand", Path: name, Err: fs.ErrNotExist}
	}
	return File{Name: name, Size: info.Size(), Changed: changed(info), folder: f}, nil
}

// digest reads a file once for each time that it changed; "" when it cannot.
func (f *Folder) digest(ctx context.Context, root *os.Root, file File) string {
	f.mu.Lock()
	known, ok := f.hashed[file.Name]
	f.mu.Unlock()
	if ok && known.size == file.Size && known.changed.Equal(file.Changed) {
		return known.digest
	}
	content, err := root.Open(file.Name)
	if err != nil {
		return ""
	}
	defer content.Close()
	digest, err := assets.SHA512(ctx, content)
	if err != nil {
		return ""
	}
	found := hashed{file.Size, file.Changed, digest}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hashed[file.Name] = found
	return found.digest
}

// Path of the file, for people.
func (f File) Path() string { return filepath.Join(f.folder.dir, filepath.FromSlash(f.Name)) }

// Open returns its content.
func (f File) Open() (*os.File, error) {
	root, err := f.folder.root()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Open(f.Name)
}

// Remove takes the file away, and the folders that are empty then.
func (f File) Remove() error {
	root, err := f.folder.root()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Remove(f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file that was taken: %w", err)
	}
	for folder := path.Dir(f.Name); folder != "."; folder = path.Dir(folder) {
		if root.Remove(folder) != nil {
			break // something else is in it
		}
	}
	return nil
}
