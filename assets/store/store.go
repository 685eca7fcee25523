package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets"
)

const (
	blobsFolder   = "blobs"
	urlsFolder    = "urls"
	partialFolder = "partial"

	// digestLength is that of a SHA-512 in hexadecimal.
	digestLength = 128
)

// Ref asks for a file.
type Ref struct {
	// URL that it comes from.
	URL string
	// SHA512 of its content in lower-case hexadecimal; empty takes whatever the URL had.
	SHA512 string
}

// Blob is a file in the store.
type Blob struct {
	// Digest is the SHA-512 of the content in lower-case hexadecimal.
	Digest string
	// Size in bytes.
	Size int64
	// Version is what the source said of the content, as Source.Version; empty when the file came from another URL.
	Version string
}

// Store is safe for concurrent use.
type Store struct {
	dir string

	mu     sync.Mutex
	urls   map[string]entry     // by URL
	open   map[string]int       // files being read, by digest
	filled map[string]bool      // URLs with a Partial in use
	unused map[string]time.Time // since when, by path
}

// Open reads the index of a directory, which is created when missing.
func Open(dir string) (*Store, error) {
	for _, folder := range []string{blobsFolder, urlsFolder, partialFolder} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("create asset store: %w", err)
		}
	}
	urls, err := readIndex(filepath.Join(dir, urlsFolder))
	if err != nil {
		return nil, fmt.Errorf("read asset store: %w", err)
	}
	return &Store{dir: dir, urls: urls, open: map[string]int{}, filled: map[string]bool{}, unused: map[string]time.Time{}}, nil
}

// Find tells whether a file is there, by a look at the disk: fs.ErrNotExist when it is not, or not whole. What has the
// asked digest is it, whichever URL it came from.
func (s *Store) Find(ref Ref) (Blob, error) {
	s.mu.Lock()
	known, ok := s.urls[ref.URL]
	s.mu.Unlock()
	switch {
	case ref.SHA512 == "" && !ok:
		return Blob{}, errNotExist
	case ref.SHA512 != "" && known.SHA512 != ref.SHA512:
		known = entry{SHA512: ref.SHA512, Size: -1}
	}
	if !validDigest(known.SHA512) {
		return Blob{}, errNotExist
	}
	info, err := os.Stat(s.blob(known.SHA512))
	if errors.Is(err, fs.ErrNotExist) {
		return Blob{}, errNotExist
	}
	if err != nil {
		return Blob{}, fmt.Errorf("find asset: %w", err)
	}
	if !info.Mode().IsRegular() || known.Size >= 0 && info.Size() != known.Size {
		return Blob{}, errNotExist
	}
	return Blob{Digest: known.SHA512, Size: info.Size(), Version: known.Version}, nil
}

// File describes a file to those who serve it, under the given name. It is not removed while it is open.
func (s *Store) File(ref Ref, name string) (assets.File, error) {
	blob, err := s.Find(ref)
	if err != nil {
		return assets.File{}, err
	}
	description := assets.File{Name: name, Size: blob.Size, Digest: blob.Digest}
	return description.Opened(func() (io.ReadSeekCloser, error) { return s.read(blob) }), nil
}

// reading is an open file. It has everything of os.File, so that the kernel can send it by itself (sendfile).
type reading struct {
	*os.File
	done func()
}

// Close implements io.Closer.
func (r reading) Close() error {
	r.done()
	return r.File.Close()
}

func (s *Store) read(blob Blob) (io.ReadSeekCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	file, err := os.Open(s.blob(blob.Digest))
	if err != nil {
		return nil, err
	}
	s.open[blob.Digest]++
	return reading{file, sync.OnceFunc(func() { s.closed(blob.Digest) })}, nil
}

func (s *Store) closed(digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[digest]--; s.open[digest] <= 0 {
		delete(s.open, digest)
	}
}

// Free is how many bytes can be written to the store's file system.
func (s *Store) Free() (int64, error) { return free(s.dir) }

func (s *Store) blob(digest string) string { return filepath.Join(s.dir, blobsFolder, digest) }

func (s *Store) index(address string) string {
	return filepath.Join(s.dir, urlsFolder, key(address)+".json")
}

func (s *Store) partial(address string) string {
	return filepath.Join(s.dir, partialFolder, key(address))
}

// key names the files of a URL: some URLs are longer than a file's name may be.
func key(address string) string {
	sum := sha256.Sum256([]byte(address))
	return hex.EncodeToString(sum[:])
}

func validDigest(digest string) bool {
	return len(digest) == digestLength && strings.Trim(digest, "0123456789abcdef") == ""
}

// errNotExist names no URL, which may have a password in it.
var errNotExist = fmt.Errorf("find asset: %w", fs.ErrNotExist)
