package redfish

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/stmcginnis/gofish/common"
)

// maxBody bounds an answer in bytes. A ComputerSystem has some ten thousand.
const maxBody = 4 << 20

// transport carries gofish's requests. It exists because gofish has a client per context and reads the service's root for
// each, opens a connection per request, and trusts answers to be JSON objects of a sensible size.
type transport struct {
	endpoint *url.URL
	pin      *pin
	inner    *http.Transport

	mu   sync.Mutex
	root []byte
}

func newTransport(endpoint *url.URL, pin *pin) *transport {
	return &transport{endpoint: endpoint, pin: pin, inner: &http.Transport{
		TLSClientConfig: tlsConfig(pin),
		DialContext:     (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		// BMCs have room for a handful of connections.
		MaxConnsPerHost:     2,
		MaxIdleConnsPerHost: 1,
		IdleConnTimeout:     2 * time.Minute,
	}}
}

// RoundTrip returns answers that have arrived in full.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	// Requests go to paths that answers contain, put behind the endpoint: a path such as "@elsewhere/" would take the
	// password with it.
	if request.URL.Scheme != t.endpoint.Scheme || request.URL.Host != t.endpoint.Host || request.URL.User != nil {
		return nil, fmt.Errorf("the BMC's answer leads to %s, away from it", request.URL.Redacted())
	}
	root := request.Method == http.MethodGet && request.URL.Path == common.DefaultServiceRoot
	if body := t.remembered(); root && body != nil {
		return answer(request, body), nil
	}
	request = request.Clone(request.Context())
	request.Close = false
	response, err := t.inner.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := read(response)
	if err != nil {
		return nil, err
	}
	if root && response.StatusCode == http.StatusOK {
		t.remember(body)
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// read takes a whole body. What was read of a resource has to be an object: gofish crashes on JSON's null.
func read(response *http.Response) ([]byte, error) {
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("read answer: it is longer than %d bytes", maxBody)
	}
	if response.Request.Method == http.MethodGet && response.StatusCode == http.StatusOK && !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{")) {
		return nil, fmt.Errorf("read answer: %s is not a Redfish resource but %s: see whether this is the BMC's address and its Redfish service is enabled", response.Request.URL.Path, quote(body))
	}
	return body, nil
}

func (t *transport) remembered() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.root
}

func (t *transport) remember(root []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.root = root
}

func answer(request *http.Request, body []byte) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: request,
	}
}

// checkRedirect follows a BMC to its own other paths only: the session's token would go along.
func (t *transport) checkRedirect(request *http.Request, via []*http.Request) error {
	if request.URL.Scheme != t.endpoint.Scheme || request.URL.Host != t.endpoint.Host {
		return fmt.Errorf("it redirects to %s://%s: use that as the endpoint if it is the BMC", request.URL.Scheme, request.URL.Host)
	}
	if len(via) >= 3 {
		return http.ErrUseLastResponse
	}
	return nil
}

// CloseIdleConnections is for http.Client.
func (t *transport) CloseIdleConnections() { t.inner.CloseIdleConnections() }
