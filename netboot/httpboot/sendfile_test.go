package httpboot

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// sink is what net/http gives handlers over HTTP/1.1: a writer that takes files.
type sink struct {
	*httptest.ResponseRecorder
	pieces    []int64
	deadlines int
	byKernel  bool
}

func (s *sink) ReadFrom(source io.Reader) (int64, error) {
	limited, ok := source.(*io.LimitedReader)
	if ok {
		_, s.byKernel = limited.R.(syscall.Conn)
		s.pieces = append(s.pieces, limited.N)
	}
	return io.Copy(s.ResponseRecorder, source)
}

func (s *sink) SetWriteDeadline(time.Time) error { s.deadlines++; return nil }

// TestFilesAreSentByTheKernel looks at what net.TCPConn gets: it uses sendfile for a limited reader of a syscall.Conn.
func TestFilesAreSentByTheKernel(t *testing.T) {
	content := bytes.Repeat([]byte("kernel"), 50_000)
	path := filepath.Join(t.TempDir(), "vmlinuz")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	to := &sink{ResponseRecorder: httptest.NewRecorder()}
	e := newExchange(to, httptest.NewRequest(http.MethodGet, "/env/x/vmlinuz", nil), time.Second)
	http.ServeContent(e, e.request, "", time.Time{}, file)

	if !bytes.Equal(to.Body.Bytes(), content) || e.seen.Bytes != int64(len(content)) {
		t.Errorf("%d bytes were sent, %d seen", to.Body.Len(), e.seen.Bytes)
	}
	if !to.byKernel || len(to.pieces) != 5 || to.pieces[0] != pieceSize || to.deadlines < 1+len(to.pieces) {
		t.Errorf("by the kernel: %t, pieces %v, %d deadlines", to.byKernel, to.pieces, to.deadlines)
	}
	if _, ok := net.Conn(&connection{}).(io.ReaderFrom); !ok {
		t.Error("the connection hides that of the kernel")
	}
}
