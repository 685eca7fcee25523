package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// entry is what is known of a URL.
type entry struct {
	URL     string `json:"url"`
	SHA512  string `json:"sha512"`
	Size    int64  `json:"size"`
	Version string `json:"version,omitempty"`
}

// parseEntry refuses what this package has not written whole.
func parseEntry(text []byte) (entry, error) {
	var read entry
	if err := json.Unmarshal(text, &read); err != nil {
		return entry{}, fmt.Errorf("parse asset index: %w", err)
	}
	if read.URL == "" || !validDigest(read.SHA512) || read.Size <= 0 {
		return entry{}, errors.New("parse asset index: it names no file")
	}
	return read, nil
}

// readIndex leaves out what it cannot read: its files are downloaded again.
func readIndex(folder string) (map[string]entry, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	urls := map[string]entry{}
	for _, file := range files {
		path := filepath.Join(folder, file.Name())
		if strings.HasSuffix(file.Name(), newSuffix) {
			_ = os.Remove(path) // of a crash
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if read, err := parseEntry(text); err == nil && key(read.URL)+".json" == file.Name() {
			urls[read.URL] = read
		}
	}
	return urls, nil
}

// newSuffix ends the name of a file that is being written.
const newSuffix = ".new"

// writeJSON replaces a file, so that a crash leaves the old one or the new one.
func writeJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := writeSynced(path+newSuffix, text); err != nil {
		return errors.Join(err, os.Remove(path+newSuffix))
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func writeSynced(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFolder puts the names in a folder on the disk.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
