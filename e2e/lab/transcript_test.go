package lab

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLinesOfATerminal(t *testing.T) {
	for name, test := range map[string]struct {
		stream     string
		want       []string
		unfinished string
	}{
		"Linux ends lines with both":        {"one\r\ntwo\r\n", []string{"one", "two"}, ""},
		"iPXE redraws its progress":         {"/k... 10%\r/k... 20%\r/k... ok\r\n", []string{"/k... 10%", "/k... 20%", "/k... ok"}, ""},
		"iPXE takes its countdown back":     {"Press Ctrl-B...\b \b\b \b\b \bnet0", nil, "Press Ctrl-Bnet0"},
		"colours are no text":               {"\x1b[0;1miPXE 1.0.0\x1b[0m -- Open\n", []string{"iPXE 1.0.0 -- Open"}, ""},
		"OVMF moves the cursor":             {"\x1b[2J\x1b[01;01HBdsDxe: loading\x1b[02;01H>>Start PXE", []string{"BdsDxe: loading"}, ">>Start PXE"},
		"SeaBIOS resets the terminal first": {"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\r\n", []string{"SeaBIOS"}, ""},
		"blank lines are dropped":           {"\r\n  \r\n a \n", []string{"a"}, ""},
		"a prompt has no end":               {"boot: ", nil, "boot:"},
		"noise on the line":                 {"a\xff\x00b\n", []string{"a�b"}, ""},
		"backspaces before anything":        {"\b\b\bx\n", []string{"x"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, chunk := range []int{1, len(test.stream)} { // bytes a read; sequences may be torn
				var r lineReader
				for piece := range slices.Chunk([]byte(test.stream), chunk) {
					r.read(piece, time.Second)
				}
				var got []string
				for _, line := range r.done {
					got = append(got, line.Text)
				}
				if last, _ := r.unfinished(); !slices.Equal(got, test.want) || last.Text != test.unfinished {
					t.Errorf("in pieces of %d: %q and %q, want %q and %q", chunk, got, last.Text, test.want, test.unfinished)
				}
			}
		})
	}
}

func TestLineTimeIsThatOfItsLastByte(t *testing.T) {
	var r lineReader
	r.read([]byte("Configuring"), 1*time.Second)
	r.read([]byte(" ok"), 2*time.Second)
	r.read([]byte("\r\n"), 3*time.Second)
	if want := (Line{At: 2 * time.Second, Text: "Configuring ok"}); r.done[0] != want {
		t.Errorf("got %v, want %v", r.done[0], want)
	}
}

func TestTranscriptWaits(t *testing.T) {
	ctx := t.Context()
	transcript := newTranscript(t)
	found := make(chan Line)
	go func() {
		line, err := transcript.Wait(ctx, "^second")
		if err != nil {
			t.Error(err)
		}
		found <- line
	}()
	io.WriteString(transcript, "first\nsec")
	io.WriteString(transcript, "ond li")
	if line := <-found; !strings.HasPrefix("second li", line.Text) {
		t.Errorf("found %q", line.Text)
	}
	io.WriteString(transcript, "ne\nthird\n")
	if line, err := transcript.Wait(ctx, "line"); err != nil || line.Text != "second line" {
		t.Errorf("found %q, %v", line.Text, err)
	}
	if text, err := os.ReadFile(transcript.Path()); err != nil || string(text) != "first\nsecond line\nthird\n" {
		t.Errorf("file holds %q, %v", text, err)
	}
}

func TestTranscriptSaysWhatItHasInstead(t *testing.T) {
	transcript := newTranscript(t)
	io.WriteString(transcript, "No bootable device\n")
	ctx, cancel := context.WithCancelCause(t.Context())
	tired := errors.New("tired of waiting")
	cancel(tired)
	_, err := transcript.Wait(ctx, "login:")
	if !errors.Is(err, tired) || !strings.Contains(err.Error(), "No bootable device") || !strings.Contains(err.Error(), transcript.Path()) {
		t.Errorf("context ended: %v", err)
	}
	transcript.Close()
	if _, err := transcript.Wait(t.Context(), "login:"); !errors.Is(err, io.EOF) {
		t.Errorf("transcript ended: %v", err)
	}
	if _, err := transcript.Wait(t.Context(), "device$"); err != nil {
		t.Errorf("line of an ended transcript: %v", err)
	}
	if _, err := transcript.Wait(t.Context(), "("); err == nil {
		t.Error("a broken regular expression is accepted")
	}
}

func TestTranscriptForgets(t *testing.T) {
	transcript := newTranscript(t)
	io.WriteString(transcript, "login:\nfirst boot, cut o")
	transcript.Forget()
	io.WriteString(transcript, "second boot\n")
	transcript.Close()
	if line, err := transcript.Wait(t.Context(), "boot"); err != nil || line.Text != "second boot" {
		t.Errorf("found %q, %v", line.Text, err)
	}
	var all []string
	for line := range transcript.Lines(t.Context()) {
		all = append(all, line.Text)
	}
	if want := []string{"login:", "first boot, cut o", "second boot"}; !slices.Equal(all, want) {
		t.Errorf("lines: %q, want %q", all, want)
	}
}

func TestTranscriptLinesEndWithTheContext(t *testing.T) {
	transcript := newTranscript(t)
	io.WriteString(transcript, "one\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []string
	for line := range transcript.Lines(ctx) {
		seen = append(seen, line.Text)
		cancel()
	}
	if !slices.Equal(seen, []string{"one"}) {
		t.Errorf("saw %q", seen)
	}
}

func newTranscript(t *testing.T) *Transcript {
	t.Helper()
	transcript, err := NewTranscript(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { transcript.Close() })
	return transcript
}
