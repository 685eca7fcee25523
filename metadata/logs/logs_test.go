package logs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/metadata/logs"
)

const server = "4c4c4544-0039-3010-8048-b7c04f384432"

func TestRecord(t *testing.T) {
	sender := logs.Sender{Server: server, Namespace: "default", Cluster: "c", MetalMachine: "mm", Machine: "m"}
	for _, test := range []struct {
		name, line string
		from       logs.Sender
		want       string
	}{
		{"of Talos", `{"msg":"hello","seq":7}`, sender, `{"cluster":"c","machine":"m","metal_machine":"mm","msg":"hello","namespace":"default","seq":7,"server_uuid":"` + server + `"}`},
		{"of nobody known", `{"msg":"hello"}`, logs.Sender{}, `{"msg":"hello"}`},
		{"with a false name", `{"msg":"a","server_uuid":"other","cluster":"x"}`, logs.Sender{Server: "s"}, `{"msg":"a","server_uuid":"s"}`},
		{"with a false name, of nobody known", `{"msg":"a","server_uuid":"other"}`, logs.Sender{}, `{"msg":"a"}`},
		{"large number", `{"seq":18446744073709551615}`, logs.Sender{}, `{"seq":18446744073709551615}`},
		{"text", "plain words\r\n", logs.Sender{}, `{"msg":"plain words"}`},
		{"boot token", `{"msg":"Command line: talos.config=http://192.0.2.1:8081/configdata?uuid=\u0026token=1-abc \"x\""}`, logs.Sender{},
			`{"msg":"Command line: talos.config=http://192.0.2.1:8081/configdata?uuid=\u0026token=REDACTED \"x\""}`},
		{"boot token at the end of what is quoted", `{"msg":"\"?token=1-abc\"","seq":1}`, logs.Sender{}, `{"msg":"\"?token=REDACTED\"","seq":1}`},
		{"boot token in text", "?token=1-abc", logs.Sender{}, `{"msg":"?token=REDACTED"}`},
		{"list", `[1]`, logs.Sender{}, `{"msg":"[1]"}`},
		{"null", `null`, logs.Sender{}, `{"msg":"null"}`},
		{"half an object", `{"msg":"a`, logs.Sender{}, `{"msg":"{\"msg\":\"a"}`},
		{"binary", "\x00\xff\x1b[31m", logs.Sender{}, `{"msg":"\u0000` + "\uFFFD" + `\u001b[31m"}`},
		{"empty", " \r\n", sender, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := strings.TrimSuffix(string(logs.Record([]byte(test.line), test.from)), "\n"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"msg":"hello","server_uuid":"other"}`))
	f.Add([]byte("\xff\n\n{"))
	f.Add([]byte("{\"a\":1}{\"b\":2}"))
	f.Fuzz(func(t *testing.T, line []byte) {
		record := logs.Record(line, logs.Sender{Server: "s"})
		if len(record) == 0 {
			return
		}
		if bytes.IndexByte(record, '\n') != len(record)-1 {
			t.Fatalf("%q is not one line", record)
		}
		var fields map[string]any
		if err := json.Unmarshal(record, &fields); err != nil || fields["server_uuid"] != "s" {
			t.Fatalf("%q: %v, %v", record, fields["server_uuid"], err)
		}
	})
}

func TestFilesAreBounded(t *testing.T) {
	files := &logs.Files{Dir: filepath.Join(t.TempDir(), "logs"), MaxBytes: 1000, Old: 2}
	for n := range 1000 {
		if err := files.Append(server, fmt.Appendf(nil, "line %d\n", n)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(files.Dir)
	if err != nil || len(entries) != 3 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Size() > files.MaxBytes || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %d bytes, %s, %v", entry.Name(), info.Size(), info.Mode(), err)
		}
	}
	var kept bytes.Buffer
	if err := files.Print(server, &kept); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(kept.String()), "\n")
	for i, line := range lines {
		if want := fmt.Sprintf("line %d", 1000-len(lines)+i); line != want {
			t.Fatalf("%q is where %q belongs", line, want)
		}
	}
	if len(lines) < 200 {
		t.Errorf("only %d lines are kept", len(lines))
	}
}

func TestFilesStayInTheirDirectory(t *testing.T) {
	files := &logs.Files{Dir: t.TempDir(), MaxBytes: 1000}
	for _, name := range []string{"../x", "a/b", ".", "..", ".x", "_unknown", "A", "a\x00"} {
		if err := files.Append(name, []byte("x\n")); err == nil {
			t.Errorf("a file of %q was made", name)
		}
	}
}

func TestPrintOfNothing(t *testing.T) {
	files := &logs.Files{Dir: filepath.Join(t.TempDir(), "none"), MaxBytes: 1000, Old: 1}
	if err := files.Print(server, io.Discard); !errors.Is(err, logs.ErrNone) {
		t.Errorf("got %v", err)
	}
}

// A reader in another process sees every line once, over files that are put aside.
func TestFollow(t *testing.T) {
	files := &logs.Files{Dir: t.TempDir(), MaxBytes: 100, Old: 50}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	read, written := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- files.Follow(ctx, server, written)
		_ = written.Close()
	}()
	for n := range 20 {
		line := fmt.Sprintf("the line with number %d\n", n)
		if err := files.Append(server, []byte(line)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(line))
		if _, err := io.ReadFull(read, got); err != nil || string(got) != line {
			t.Fatalf("%q, %v", got, err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type reception struct {
	files   *logs.Files
	address string
}

func receive(t *testing.T, sender func(netip.Addr) logs.Sender) reception {
	t.Helper()
	return receiveFor(t, 0, sender)
}

// receiveFor has a patience of its own with those that are silent.
func receiveFor(t *testing.T, patience time.Duration, sender func(netip.Addr) logs.Sender) reception {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := reception{files: &logs.Files{Dir: t.TempDir(), MaxBytes: 1 << 20, Old: 1}, address: listener.Addr().String()}
	receiver := &logs.Receiver{Files: r.files, Sender: sender, Log: slog.New(slog.DiscardHandler), Patience: patience}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- receiver.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r reception) dial(t *testing.T) net.Conn {
	t.Helper()
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

func (r reception) waitFor(t *testing.T, name, text string) string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(time.Millisecond) {
		var kept bytes.Buffer
		if err := r.files.Print(name, &kept); err == nil && strings.Contains(kept.String(), text) {
			return kept.String()
		}
	}
	t.Fatalf("%q did not come", text)
	return ""
}

func known(netip.Addr) logs.Sender { return logs.Sender{Server: server} }

func TestReceiverKeepsOtherLinesThanThoseTooLong(t *testing.T) {
	r := receive(t, known)
	connection := r.dial(t)
	long := strings.Repeat("x", 10*logs.MaxLine)
	if _, err := fmt.Fprintf(connection, "{\"msg\":\"first\"}\n%s\n\xff\xfe\x00\n{\"msg\":\"last\"}\n", long); err != nil {
		t.Fatal(err)
	}
	kept := r.waitFor(t, server, "last")
	for line := range strings.Lines(kept) {
		if !json.Valid([]byte(line)) || len(line) > logs.MaxLine+200 {
			t.Errorf("%.100q", line)
		}
	}
	if n := strings.Count(kept, "\n"); n != 4 {
		t.Errorf("%d lines instead of 4", n)
	}
}

// What comes before the machine is known is kept apart.
func TestReceiverLearnsWhoItIs(t *testing.T) {
	var learned atomic.Bool
	r := receive(t, func(netip.Addr) logs.Sender {
		if learned.Load() {
			return logs.Sender{Server: server}
		}
		return logs.Sender{}
	})
	connection := r.dial(t)
	_, _ = io.WriteString(connection, "early\n")
	r.waitFor(t, "", "early")
	learned.Store(true)
	_, _ = io.WriteString(connection, "late\n")
	r.waitFor(t, server, "late")
}

func TestReceiverDropsTheOldestConnectionOfAMachine(t *testing.T) {
	r := receive(t, known)
	first := r.dial(t)
	for n := range 3 {
		_, _ = fmt.Fprintf(r.dial(t), "from %d\n", n)
		r.waitFor(t, server, fmt.Sprintf("from %d", n))
	}
	_ = first.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := first.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
		t.Errorf("the oldest connection is still open: %v", err)
	}
}

// A silent connection stays while its machine is known, and ends when it is not any more: nothing can come from it.
func TestReceiverEndsConnectionsOfStrangers(t *testing.T) {
	var gone atomic.Bool
	var looks atomic.Int32
	r := receiveFor(t, 20*time.Millisecond, func(netip.Addr) logs.Sender {
		looks.Add(1)
		if gone.Load() {
			return logs.Sender{}
		}
		return logs.Sender{Server: server}
	})
	connection := r.dial(t)
	_, _ = io.WriteString(connection, "before\n")
	r.waitFor(t, server, "before")
	for before := looks.Load(); looks.Load() < before+3; <-time.After(time.Millisecond) {
	}
	_, _ = io.WriteString(connection, "after a silence\n")
	r.waitFor(t, server, "after a silence")
	gone.Store(true)
	_ = connection.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := connection.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
		t.Errorf("the connection of a machine that is gone is still open: %v", err)
	}
}

// One machine that floods costs a bounded part of the disk and of the time, and another is heard meanwhile.
func TestReceiverUnderFlood(t *testing.T) {
	r := receive(t, known)
	flood := r.dial(t)
	_ = flood.SetWriteDeadline(time.Now().Add(time.Second))
	line := []byte(strings.Repeat("y", 1000) + "\n")
	var err error
	for sent := 0; err == nil && sent < 64<<20; sent += len(line) {
		_, err = flood.Write(line)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a flood was not slowed down: %v", err)
	}
	_, _ = io.WriteString(r.dial(t), "other\n")
	r.waitFor(t, server, `"other"`)
	entries, _ := os.ReadDir(r.files.Dir)
	var total int64
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			total += info.Size()
		}
	}
	if total > 2*r.files.MaxBytes {
		t.Errorf("%d bytes are kept", total)
	}
}
