package store

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Grace is how long a file stays that nobody asks for any more. An Environment that is deleted and made again, as
// "kubectl replace --force" does, finds its files; and a machine that is booting gets the second after the first.
const Grace = 10 * time.Minute

// Collect removes what none of the refs asks for, and has not for Grace. What is being read or filled stays. It returns the
// digests of the files that it removed.
func (s *Store) Collect(wanted []Ref, now time.Time) (removed []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	paths, err := s.paths()
	if err != nil {
		return nil, fmt.Errorf("look through asset store: %w", err)
	}
	needed := s.needed(wanted)
	before := s.unused
	s.unused = map[string]time.Time{}
	for _, path := range paths {
		if needed[path] {
			continue
		}
		since, ok := before[path]
		if !ok {
			since = now
		}
		if now.Sub(since) < Grace {
			s.unused[path] = since
			continue
		}
		if failed := s.remove(path); failed != nil {
			err = errors.Join(err, fmt.Errorf("remove unused asset: %w", failed))
		} else if filepath.Base(filepath.Dir(path)) == blobsFolder {
			removed = append(removed, filepath.Base(path))
		}
	}
	return removed, err
}

// paths are those of all files.
func (s *Store) paths() ([]string, error) {
	var paths []string
	for _, folder := range []string{urlsFolder, partialFolder, blobsFolder} {
		files, err := os.ReadDir(filepath.Join(s.dir, folder))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			paths = append(paths, filepath.Join(s.dir, folder, file.Name()))
		}
	}
	return paths, nil
}

// remove removes a file, and what it said from the index.
func (s *Store) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	maps.DeleteFunc(s.urls, func(url string, _ entry) bool { return s.index(url) == path })
	return nil
}

// needed are the files that must stay.
func (s *Store) needed(wanted []Ref) map[string]bool {
	needed := map[string]bool{}
	keepURL := func(url string) {
		for _, path := range []string{s.partial(url), s.partial(url) + ".json", s.index(url)} {
			needed[path], needed[path+newSuffix] = true, true
		}
	}
	for _, ref := range wanted {
		keepURL(ref.URL)
		digest := ref.SHA512
		if known, ok := s.urls[ref.URL]; ok && digest == "" {
			digest = known.SHA512
		}
		needed[s.blob(digest)] = true
	}
	for url := range s.filled {
		keepURL(url)
	}
	for digest := range s.open {
		needed[s.blob(digest)] = true
	}
	return needed
}

func free(dir string) (int64, error) {
	var found unix.Statfs_t
	if err := unix.Statfs(dir, &found); err != nil {
		return 0, fmt.Errorf("look for free space in %s: %w", dir, err)
	}
	return int64(found.Bavail) * found.Bsize, nil
}
