// Package repository writes a provider repository for clusterctl, in the layout that it expects of a local one, so that it
// needs no internet. What it installs is empty: the providers are parts of the appliance.
//
// It knows no API server: whoever has the program can write a repository, on any machine.
package repository

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// unfinished begins the names of files that are being written.
const unfinished = ".new-"

// Write writes the repository into a directory, of which it needs the absolute path, and makes that if it is not there. A
// repository that it wrote there before is brought up to date; any other content is an error. Each file is replaced at
// once, and the configuration last, so that clusterctl always finds a whole repository.
func Write(dir string) error {
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}

	files, err := contents(dir)
	if err != nil {
		return err
	}

	old, err := outdated(dir, files)
	if err != nil {
		return err
	}

	for _, f := range files {
		if err := replace(filepath.Join(dir, filepath.FromSlash(f.path)), f.content); err != nil {
			return fmt.Errorf("write repository: %w", err)
		}
	}

	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove what is out of date: %w", err)
		}

		os.Remove(filepath.Dir(path)) //nolint:errcheck // goes with its last file
	}

	return nil
}

// outdated are the files in the directory that an earlier repository had and the new one has not. An error tells of the
// first file that is of none.
func outdated(dir string, files []file) ([]string, error) {
	found := map[string]bool{}
	for _, f := range files {
		found[filepath.Join(dir, filepath.FromSlash(f.path))] = true
	}

	var old []string

	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case path == dir && errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("look into the directory: %w", err)
		case d.IsDir():
			return nil
		case !d.Type().IsRegular() || !own(dir, path):
			return fmt.Errorf("%s is there already, and this command did not write it: choose a directory that is new or empty", path)
		case !found[path]:
			old = append(old, path)
		}

		return nil
	})

	return old, err
}

// own tells whether a file in the directory is one that Write makes, in this version or another.
func own(dir, path string) bool {
	inside, err := filepath.Rel(dir, path)
	if err != nil {
		return false
	}

	if strings.HasPrefix(filepath.Base(path), unfinished) {
		return true
	}

	return belongs(filepath.ToSlash(inside)) && begins(path, header)
}

// begins tells whether a file begins with a text.
func begins(path, text string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}

	defer f.Close()

	start := make([]byte, len(text))
	n, _ := f.Read(start) //nolint:errcheck // then it does not begin so

	return string(start[:n]) == text
}

// replace puts a file in its place at once.
func replace(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}

	temporary, err := os.CreateTemp(filepath.Dir(path), unfinished+"*")
	if err != nil {
		return err
	}

	defer os.Remove(temporary.Name()) //nolint:errcheck // gone already when all went well

	_, err = temporary.WriteString(content)
	if err := errors.Join(err, temporary.Chmod(0o644), temporary.Sync(), temporary.Close()); err != nil {
		return err
	}

	return os.Rename(temporary.Name(), path)
}
