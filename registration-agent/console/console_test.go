package console

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"
)

// terminal collects what is written to it.
type terminal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(p)
}

func (t *terminal) await(tb testing.TB, text string) string {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		t.mu.Lock()
		got := t.text.String()
		t.mu.Unlock()
		if strings.Contains(got, text) {
			return got
		}
	}
	tb.Fatalf("no %q on the terminal", text)
	return ""
}

func TestLogLines(t *testing.T) {
	var serial, screen, kmsg terminal
	c := New(&kmsg, &serial, &screen)
	defer c.Close()
	logger := slog.New(handler{console: c, uptime: func() time.Duration { return 3210 * time.Millisecond }})
	logger.Debug("not shown")
	logger.Info(Registered, "server", "0011", "duration", 1500*time.Millisecond)
	logger.With("stage", "two words").Warn("a driver did not load", "error", "a \"b\"\nc", "reason", "")
	want := "[   3.21] sidero-agent: registered server=0011 duration=1.5s\n" +
		"[   3.21] sidero-agent: warn: a driver did not load stage=\"two words\" error=\"a \\\"b\\\"\\nc\" reason=\"\"\n"
	for name, terminal := range map[string]*terminal{"serial": &serial, "screen": &screen} {
		if got := terminal.await(t, "reason"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := kmsg.await(t, "reason"); !strings.HasPrefix(got, "<31>sidero-agent: registered server=0011") {
		t.Errorf("kernel log: %q", got)
	}
	if !strings.Contains(want, LineRegistered+"0011") {
		t.Errorf("the line to wait for, %q, is not what is written", LineRegistered)
	}
}

// stuck is a terminal that never takes anything.
type stuck struct{ release chan struct{} }

func (s stuck) Write([]byte) (int, error) { <-s.release; return 0, errors.New("hung up") }

func TestStuckTerminal(t *testing.T) {
	var good terminal
	bad := stuck{make(chan struct{})}
	c := New(io.Discard, bad, &good)
	written := make(chan struct{})
	go func() {
		defer close(written)
		for range 3 * backlog {
			_, _ = c.Write([]byte("line\n"))
		}
	}()
	select {
	case <-written:
	case <-time.After(10 * time.Second):
		t.Fatal("a stuck terminal holds up the agent")
	}
	good.await(t, "line")
	close(bad.release)
	c.Close()
}

func TestTerminalNames(t *testing.T) {
	for active, want := range map[string][]string{
		"tty0 ttyS0\n": {"tty0", "ttyS0"},
		"ttyS0\n":      {"ttyS0", "tty0"},
		"":             {"tty0"},
	} {
		if got := terminalNames(active); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", active, got, want)
		}
	}
}

func TestOpenAlwaysHasATerminal(t *testing.T) {
	c := Open(fstest.MapFS{"class/tty/console/active": {Data: []byte("no-such-terminal\n")}})
	defer c.Close()
	if len(c.lines) == 0 {
		t.Error("there is nowhere to write to")
	}
}

func TestScreen(t *testing.T) {
	text := Screen{
		Title:  "Registered\x1b[2J.",
		Rows:   []Row{{"server", "0011"}, {"boot nic", "eth0\n"}},
		Advice: []string{"To accept it:", "  kubectl patch server 0011"},
	}.render()
	want := "\n" + strings.Repeat("=", 78) + "\n Registered?[2J.\n\n   server     0011\n   boot nic   eth0?\n\n To accept it:\n   kubectl patch server 0011\n" + strings.Repeat("=", 78) + "\n\n"
	if text != want {
		t.Errorf("got %q\nwant %q", text, want)
	}
}

func TestScreenWrapsWhatIsTooWide(t *testing.T) {
	number := strings.Repeat("0123456789", 9)
	for name, test := range map[string]struct{ begin, text, want string }{
		"fits":              {" ", "a b", " a b\n"},
		"fits exactly":      {" ", strings.Repeat("x ", 38) + "x", " " + strings.Repeat("x ", 38) + "x\n"},
		"one too many":      {" ", strings.Repeat("x ", 38) + "xx", " " + strings.TrimSpace(strings.Repeat("x ", 38)) + "\n xx\n"},
		"indented like row": {"   cause      ", number[:60] + " abcd", "   cause      " + number[:60] + "\n              abcd\n"},
		"wide word":         {" ", number, " " + number + "\n"},
		"wide word first":   {" ", "  " + number + " end", "   " + number + "\n end\n"},
		"wide word last":    {" ", "see " + number, " see\n " + number + "\n"},
		"not ASCII":         {" ", strings.Repeat("é", 77), " " + strings.Repeat("é", 77) + "\n"},
		"empty":             {" ", "", " \n"},
	} {
		var out strings.Builder
		if writeWrapped(&out, test.begin, test.text); out.String() != test.want {
			t.Errorf("%s: got\n%q\nwant\n%q", name, out.String(), test.want)
		}
	}
}
