package download

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

const (
	// overlap is how many bytes are asked for again when a download goes on, to see that they are the same: some servers
	// and proxies answer a range with other bytes than those.
	overlap = 64 << 10
	// mostRedirects is what browsers follow.
	mostRedirects = 20
	// looksAfter is after how many bytes the disk is looked at again: others write to it too, and some servers do not say
	// how much will come.
	looksAfter = 16 << 20
	// pieceSize is how much is read at once, in bytes.
	pieceSize = 128 << 10
)

// errAnew is the end of an attempt to go on, after which the download begins anew.
var errAnew = errors.New("the content is another one than before")

// transport is Go's own, with the limits that this needs. It follows the proxy variables of the environment.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    20 * time.Second,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // digests are about the bytes as they are
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, response *http.Response) error {
			if response.StatusCode == http.StatusOK {
				return nil
			}
			return &Failure{Reason: ProxyFailed, Err: fmt.Errorf("the proxy %s says %q", proxy.Redacted(), response.Status)}
		},
	}
}

// client follows redirects, but not in circles, and tells nobody where it comes from.
func client(by http.RoundTripper) *http.Client {
	return &http.Client{Transport: by, CheckRedirect: func(request *http.Request, via []*http.Request) error {
		if scheme := request.URL.Scheme; scheme != "http" && scheme != "https" {
			return &Failure{Reason: Refused, Err: fmt.Errorf("the server redirects to a %s: URL", scheme)}
		}
		request.Header.Del("Referer") // its query may be a secret
		if len(via) >= mostRedirects {
			return errRedirects
		}
		for _, before := range via {
			if before.URL.String() == request.URL.String() {
				return errRedirects
			}
		}
		return nil
	}}
}

// transfer is one attempt to complete a Partial.
type transfer struct {
	url     string
	partial *store.Partial
	// refused is the version of content that had the wrong digest.
	refused string
	// report is told how many bytes there are, and of how many.
	report func(received, total int64)
	// room is asked before so many more bytes are written.
	room func(more int64) error
	// largest is how many bytes may be written at all.
	largest int64
}

// http completes the Partial over HTTP, or fails with what is kept for the next attempt.
func (t *transfer) http(ctx context.Context, c *http.Client) error {
	ctx, pace := keepPace(ctx)
	defer pace.stop()
	err := t.get(ctx, c, pace)
	if errors.Is(err, errAnew) {
		if err = t.partial.Restart(store.Source{}); err == nil {
			err = t.get(ctx, c, pace)
		}
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

func (t *transfer) get(ctx context.Context, c *http.Client, pace *pace) error {
	if held, source := t.partial.Size(), t.partial.Source(); held > 0 && held == source.Size {
		return nil // cut between the last byte and the end
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return &Failure{Reason: InvalidURL, Err: errMalformed}
	}
	request.Header.Set("User-Agent", "sidero-appliance")
	request.Header.Set("Accept-Encoding", "identity")
	from, err := t.resume(request)
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		return shownError(err)
	}
	defer response.Body.Close()
	if err := t.begin(response, from); err != nil {
		return err
	}
	if err := t.copy(response.Body, pace); err != nil {
		return err
	}
	return t.complete()
}

// resume has the request ask for what is missing, from the returned offset on.
func (t *transfer) resume(request *http.Request) (from int64, err error) {
	held, version := t.partial.Size(), t.partial.Source().Version
	if held == 0 || version == "" {
		if t.refused != "" {
			unless(request, t.refused)
		}
		return 0, nil
	}
	from = max(held-overlap, 0)
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	request.Header.Set("If-Range", version)
	return from, nil
}

// begin makes the Partial ready for the body of an answer.
func (t *transfer) begin(response *http.Response, from int64) error {
	asked := response.Request.Header.Get("Range") != ""
	switch code := response.StatusCode; {
	case code == http.StatusNotModified && t.refused != "":
		return &Failure{Reason: DigestMismatch, Err: fmt.Errorf("get %s: it is still the file with the wrong SHA-512", shown(t.url))}
	case code == http.StatusRequestedRangeNotSatisfiable && asked:
		return errAnew
	case code == http.StatusPartialContent && asked:
		return t.goOn(response, from)
	case code == http.StatusPartialContent, code < 200, code > 299:
		return refusal(response, time.Now())
	}
	if encoding := response.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &Failure{Reason: Refused, Err: fmt.Errorf("get %s: the server compresses the file (%q) although it is asked not to", shown(t.url), encoding)}
	}
	source := sourceOf(response)
	if err := t.partial.Restart(source); err != nil {
		return stored(err)
	}
	return t.expect(0, source.Size)
}

// goOn checks that an answer is the part that was asked for, of the content that was begun.
func (t *transfer) goOn(response *http.Response, from int64) error {
	source, held := t.partial.Source(), t.partial.Size()
	got, ok := parsePart(response.Header.Get("Content-Range"))
	switch {
	case !ok, got.first != from, got.last < held:
		return errAnew
	case source.Size > 0 && got.size > 0 && got.size != source.Size, got.size > 0 && got.last != got.size-1:
		return errAnew
	case versionOf(response.Header) != "" && versionOf(response.Header) != source.Version:
		return errAnew
	}
	before, again := make([]byte, held-from), make([]byte, held-from)
	if _, err := t.partial.ReadAt(before, from); err != nil {
		return stored(err)
	}
	if _, err := io.ReadFull(response.Body, again); err != nil {
		return t.cut(err)
	}
	if !bytes.Equal(before, again) {
		return errAnew
	}
	return t.expect(held, max(source.Size, got.size))
}

// copy appends what comes.
func (t *transfer) copy(body io.Reader, pace *pace) error {
	piece := make([]byte, pieceSize)
	for {
		n, err := body.Read(piece)
		pace.moved.Add(int64(n))
		if writeErr := t.write(piece[:n]); writeErr != nil {
			return writeErr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return t.cut(err)
		}
	}
}

// cut is the failure of an answer that began well.
func (t *transfer) cut(err error) error {
	if total := t.partial.Source().Size; total > 0 {
		err = fmt.Errorf("%d of %d bytes came: %w", t.partial.Size(), total, err)
	}
	return &Failure{Reason: Truncated, Err: fmt.Errorf("get %s: %w", shown(t.url), err)}
}

func (t *transfer) write(piece []byte) error {
	total, before := t.partial.Source().Size, t.partial.Size()
	after := before + int64(len(piece))
	if err := t.limit(after); err != nil {
		return err
	}
	if before/looksAfter != after/looksAfter {
		if err := t.room(cmp.Or(total, before+looksAfter) - before); err != nil {
			return err
		}
	}
	if _, err := t.partial.Write(piece); err != nil {
		return stored(err)
	}
	t.report(t.partial.Size(), total)
	return nil
}

// expect reports what there is and what will come, which is an error when there is no room for it.
func (t *transfer) expect(held, total int64) error {
	if err := t.limit(total); err != nil {
		return err
	}
	if err := t.room(total - held); err != nil {
		return err
	}
	t.report(held, total)
	return nil
}

// limit is an error when content has too many bytes.
func (t *transfer) limit(size int64) error {
	if size <= t.largest {
		return nil
	}
	return &Failure{Reason: TooLarge, Err: fmt.Errorf("get %s: it has more than %d MiB, and no machine can load as much", shown(t.url), t.largest>>20)}
}

// complete checks that everything is there, as far as the server told.
func (t *transfer) complete() error {
	size, source := t.partial.Size(), t.partial.Source()
	if size == 0 {
		return &Failure{Reason: Empty, Err: fmt.Errorf("get %s: %w", shown(t.url), errEmpty)}
	}
	if source.Size > 0 && size < source.Size {
		return t.cut(io.ErrUnexpectedEOF)
	}
	if source.Size > 0 && size > source.Size {
		return errAnew
	}
	return nil
}

func stored(err error) error {
	if err == nil {
		return nil
	}
	return storeError{err}
}
