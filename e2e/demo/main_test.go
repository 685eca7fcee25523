package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLogsStayOnlyWhenTheyAreNeeded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}

	failed := errors.New("machine uefi did not register")
	if err := tidy(dir, failed); !errors.Is(err, failed) || !strings.Contains(err.Error(), dir) {
		t.Errorf("error is %v, want one that names the folder", err)
	}

	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the logs of a demo that failed are gone: %v", err)
	}

	if err := tidy(dir, nil); err != nil {
		t.Error(err)
	}

	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a demo that went well leaves its folder behind: %v", err)
	}
}
