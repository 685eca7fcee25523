package download

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Reason is one word for why a file is not there.
type Reason string

// The reasons. They are part of the API: people and programs look for them in the conditions of Environments.
const (
	// Queued waits for other downloads, or has not begun.
	Queued Reason = "Queued"
	// Downloading is under way.
	Downloading Reason = "Downloading"
	// InvalidURL cannot be downloaded from.
	InvalidURL Reason = "InvalidURL"
	// NotFound is what the server says, or there is no such file.
	NotFound Reason = "NotFound"
	// Refused is any other answer of the server that is not the file.
	Refused Reason = "Refused"
	// ServerFailed is an answer that says that the server has a problem (5xx, 429).
	ServerFailed Reason = "ServerFailed"
	// NotAllowed is a file of this machine outside of the folders that may be served from.
	NotAllowed Reason = "NotAllowed"
	// DigestMismatch is content with another SHA-512.
	DigestMismatch Reason = "DigestMismatch"
	// Truncated ended before it was complete.
	Truncated Reason = "Truncated"
	// Stalled stood still.
	Stalled Reason = "Stalled"
	// Empty has no bytes.
	Empty Reason = "Empty"
	// TooLarge has more bytes than machines can load.
	TooLarge Reason = "TooLarge"
	// TLSFailed is about certificates or encryption.
	TLSFailed Reason = "TLSFailed"
	// RedirectLoop is a server that sends back and forth.
	RedirectLoop Reason = "RedirectLoop"
	// Unreachable is a server that does not answer.
	Unreachable Reason = "Unreachable"
	// ProxyFailed is a proxy that does not answer or refuses.
	ProxyFailed Reason = "ProxyFailed"
	// DiskFull is no room for the file.
	DiskFull Reason = "DiskFull"
	// StoreFailed is a file that cannot be written or read here.
	StoreFailed Reason = "StoreFailed"
)

// Failure is why an attempt failed.
type Failure struct {
	Reason Reason
	// Err is what happened.
	Err error
	// After is how long the server asks to be left alone; 0 when it does not.
	After time.Duration
}

// Error says what happened and what to do.
func (f *Failure) Error() string {
	if cure := f.cure(); cure != "" {
		return f.Err.Error() + ": " + cure
	}
	return f.Err.Error()
}

// Unwrap returns what happened.
func (f *Failure) Unwrap() error { return f.Err }

func (f *Failure) cure() string {
	switch f.Reason {
	case InvalidURL:
		return "write it as http://, https:// or file://"
	case NotFound, TooLarge:
		return "correct the URL"
	case DigestMismatch:
		return "correct sha512, or have the right file put there"
	case TLSFailed:
		return "check this machine's clock, and add the server's authority to this machine's certificates (or name its file in SSL_CERT_FILE)"
	case RedirectLoop:
		return "name the address that the file really has"
	case Unreachable:
		return "check this machine's network, name servers and proxy settings (HTTPS_PROXY, NO_PROXY)"
	case ProxyFailed:
		return "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY in the environment of the appliance"
	case DiskFull:
		return "make room, or move the data directory to a larger disk"
	case StoreFailed:
		return "check the disk, and who may read and write the file"
	case Refused:
		return "check the URL, and whether the server asks for a password"
	default:
		return ""
	}
}

// Errors that attempts end with.
var (
	errStalled   = errors.New("hardly anything came for a minute")
	errRedirects = errors.New("the server redirects in a circle")
	errEmpty     = errors.New("the file is empty")
	errPage      = errors.New("it is a web page instead of a kernel or an initial RAM disk")
	errMalformed = errors.New("the URL is malformed")
)

// storeError marks what went wrong on this side of the network.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

// classify finds the reason of an attempt's error.
func classify(err error) *Failure {
	var (
		known     *Failure
		stored    storeError
		operation *net.OpError
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Failure{Reason: DiskFull, Err: err}
	case errors.As(err, &stored):
		return &Failure{Reason: StoreFailed, Err: err}
	case errors.Is(err, errStalled), errors.Is(err, context.DeadlineExceeded):
		return &Failure{Reason: Stalled, Err: err}
	case errors.Is(err, errRedirects):
		return &Failure{Reason: RedirectLoop, Err: err}
	case errors.As(err, &operation) && operation.Op == "proxyconnect":
		return &Failure{Reason: ProxyFailed, Err: err}
	case isTLS(err):
		return &Failure{Reason: TLSFailed, Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
		return &Failure{Reason: Truncated, Err: err}
	default:
		return &Failure{Reason: Unreachable, Err: err}
	}
}

func isTLS(err error) bool {
	return errors.As(err, new(*tls.CertificateVerificationError)) ||
		errors.As(err, new(tls.RecordHeaderError)) ||
		errors.As(err, new(tls.AlertError)) ||
		errors.As(err, new(x509.UnknownAuthorityError)) ||
		errors.As(err, new(x509.HostnameError)) ||
		errors.As(err, new(x509.CertificateInvalidError)) ||
		errors.Is(err, http.ErrSchemeMismatch)
}

// refusal is the failure that an answer stands for.
func refusal(response *http.Response, now time.Time) *Failure {
	f := &Failure{Reason: Refused, Err: fmt.Errorf("get %s: the server says %q", shown(response.Request.URL.String()), response.Status)}
	switch code := response.StatusCode; {
	case code == http.StatusNotFound, code == http.StatusGone:
		f.Reason = NotFound
	case code == http.StatusProxyAuthRequired:
		f.Reason = ProxyFailed
	case code == http.StatusTooManyRequests, code >= http.StatusInternalServerError:
		f.Reason, f.After = ServerFailed, retryAfter(response.Header.Get("Retry-After"), now)
	}
	return f
}

// fileFailure is that of a file of this machine.
func fileFailure(err error) *Failure {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Failure{Reason: NotFound, Err: err}
	case errors.Is(err, syscall.ENOSPC):
		return &Failure{Reason: DiskFull, Err: err}
	default:
		return &Failure{Reason: StoreFailed, Err: err}
	}
}
