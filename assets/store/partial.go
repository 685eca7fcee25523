package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sidero-appliance/sidero-appliance/assets"
)

const (
	// flushEvery is after how many bytes the kernel has to write them to the disk. The database is on the same disk, and each of
	// its small writes would wait until a long file is written.
	flushEvery = 2 << 20
	// safeEvery is after how many bytes it is noted that they are safe. A crash of the machine costs no more than that.
	safeEvery = 16 << 20
)

// Source is what a server says of the content behind a URL.
type Source struct {
	// Version is a strong validator (RFC 9110 section 8.8.1): two answers with the same one hold the same bytes. Empty when
	// there is none.
	Version string `json:"version,omitempty"`
	// Size of the whole content in bytes; 0 when it is not known.
	Size int64 `json:"size,omitempty"`
}

// progress is what is kept beside a Partial's bytes.
type progress struct {
	URL    string `json:"url"`
	Source Source `json:"source"`
	// Safe is how many bytes are known to be on the disk.
	Safe int64 `json:"safe"`
}

func parseProgress(text []byte, url string) (progress, error) {
	var read progress
	if err := json.Unmarshal(text, &read); err != nil {
		return progress{}, fmt.Errorf("parse progress of download: %w", err)
	}
	if read.URL != url || read.Safe < 0 || read.Source.Size < 0 || read.Source.Size > 0 && read.Safe > read.Source.Size {
		return progress{}, errors.New("parse progress of download: it fits no download")
	}
	return read, nil
}

// Partial is a URL's content on its way in. It is not safe for concurrent use.
type Partial struct {
	store *Store
	file  *os.File
	path  string
	state progress
	size  int64
	// flushed is how many bytes the kernel was told to write to the disk.
	flushed int64
	sealed  Blob
}

// ErrBusy is the error of Partial while the URL's last one was not closed.
var ErrBusy = errors.New("it is being filled already")

// Partial opens what there is so far of a URL's content, or begins it. There is one at a time for each URL; Close or Keep
// ends it.
func (s *Store) Partial(url string) (*Partial, error) {
	if !s.fill(url) {
		return nil, fmt.Errorf("open download: %w", ErrBusy)
	}
	p := &Partial{store: s, path: s.partial(url), state: progress{URL: url}}
	if err := p.load(); err != nil {
		s.release(url)
		return nil, fmt.Errorf("open download: %w", err)
	}
	return p, nil
}

func (s *Store) fill(url string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.filled[url] {
		return false
	}
	s.filled[url] = true
	return true
}

func (s *Store) release(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.filled, url)
}

// load opens the file and cuts it to what is known to be right.
func (p *Partial) load() error {
	text, err := os.ReadFile(p.stateName())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if read, err := parseProgress(text, p.state.URL); err == nil {
		p.state = read
	}
	if p.file, err = os.OpenFile(p.path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	info, err := p.file.Stat()
	if err == nil && info.Size() < p.state.Safe {
		p.state.Safe, p.state.Source = 0, Source{}
	}
	if err == nil {
		p.size, p.flushed = p.state.Safe, p.state.Safe
		err = p.file.Truncate(p.size)
	}
	if err != nil {
		return errors.Join(err, p.file.Close())
	}
	return nil
}

func (p *Partial) stateName() string { return p.path + ".json" }

// URL that the content comes from.
func (p *Partial) URL() string { return p.state.URL }

// Size is how many bytes there are.
func (p *Partial) Size() int64 { return p.size }

// Source is what was said of the content when it was begun.
func (p *Partial) Source() Source { return p.state.Source }

// Restart forgets what there is, for content that the source says something else of.
func (p *Partial) Restart(source Source) error {
	p.size, p.flushed, p.sealed = 0, 0, Blob{}
	p.state.Source, p.state.Safe = source, 0
	// In this order: bytes of the old content must never be taken for some of the new.
	if err := writeJSON(p.stateName(), p.state); err != nil {
		return fmt.Errorf("begin download: %w", err)
	}
	if err := p.file.Truncate(0); err != nil {
		return fmt.Errorf("begin download: %w", err)
	}
	return nil
}

// Write appends. It implements io.Writer.
func (p *Partial) Write(piece []byte) (int, error) {
	n, err := p.file.WriteAt(piece, p.size)
	p.size += int64(n)
	switch {
	case err != nil:
	case p.size-p.state.Safe >= safeEvery:
		err = p.sync()
	case p.size-p.flushed >= flushEvery:
		err = p.flush()
	}
	if err != nil {
		return n, fmt.Errorf("write download: %w", err)
	}
	return n, nil
}

// ReadAt implements io.ReaderAt on the bytes that there are.
func (p *Partial) ReadAt(piece []byte, offset int64) (int, error) {
	return p.file.ReadAt(piece, offset)
}

// sync makes what was written safe.
func (p *Partial) sync() error {
	if p.state.Safe == p.size {
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.state.Safe = p.size
	return writeJSON(p.stateName(), p.state)
}

func (p *Partial) flush() error {
	p.flushed = p.size
	return p.file.Sync()
}

// Seal says what the content is, when it is complete. The digest is taken from the file, so it tells of what was stored, not
// of what was received.
func (p *Partial) Seal(ctx context.Context) (Blob, error) {
	if err := p.sync(); err != nil {
		return Blob{}, fmt.Errorf("finish download: %w", err)
	}
	digest, err := assets.SHA512(ctx, io.NewSectionReader(p.file, 0, p.size))
	if err != nil {
		return Blob{}, fmt.Errorf("read download: %w", err)
	}
	p.sealed = Blob{Digest: digest, Size: p.size, Version: p.state.Source.Version}
	return p.sealed, nil
}

// Keep makes what was sealed the content of its URL and closes the Partial.
func (p *Partial) Keep() error {
	if p.sealed.Digest == "" || p.sealed.Size == 0 {
		return errors.Join(errors.New("keep download: it is not complete"), p.Close())
	}
	err := p.store.keep(p)
	if err != nil {
		return errors.Join(fmt.Errorf("keep download: %w", err), p.Close())
	}
	_ = os.Remove(p.stateName()) // Collect does it else
	return p.done()
}

// keep writes the index first. A crash after that leaves an entry without a file, which stands for nothing, and a complete
// Partial, from which the next attempt goes on.
func (s *Store) keep(p *Partial) error {
	found := entry{URL: p.state.URL, SHA512: p.sealed.Digest, Size: p.sealed.Size, Version: p.sealed.Version}
	if err := writeJSON(s.index(found.URL), found); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := os.Rename(p.path, s.blob(found.SHA512)); err != nil {
		return err
	}
	if err := syncFolder(filepath.Join(s.dir, blobsFolder)); err != nil {
		return err
	}
	s.urls[found.URL] = found
	delete(s.unused, s.blob(found.SHA512))
	return nil
}

// Close keeps what there is for the next attempt.
func (p *Partial) Close() error {
	if p.size == 0 {
		return p.Discard()
	}
	err := p.sync()
	return errors.Join(err, p.done())
}

// Discard removes what there is and closes the Partial.
func (p *Partial) Discard() error {
	err := errors.Join(os.Remove(p.path), p.done())
	if removed := os.Remove(p.stateName()); !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

func (p *Partial) done() error {
	defer p.store.release(p.state.URL)
	return p.file.Close()
}
