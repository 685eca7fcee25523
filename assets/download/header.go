package download

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// longestWait is the most that a server may ask for by Retry-After.
const longestWait = time.Hour

// retryAfter reads the header of that name: seconds or a date (RFC 9110 section 10.2.3). It is 0 when there is none.
func retryAfter(text string, now time.Time) time.Duration {
	wait := time.Duration(0)
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(text); err == nil {
		wait = date.Sub(now)
	}
	return min(max(wait, 0), longestWait)
}

// part is what a Content-Range says (RFC 9110 section 14.4).
type part struct {
	first, last int64
	// size of the whole; 0 when the server does not know.
	size int64
}

// parsePart reads "bytes 0-499/1234". It is false for anything that cannot be true.
func parsePart(text string) (part, bool) {
	ranges, ok := strings.CutPrefix(text, "bytes ")
	if !ok {
		return part{}, false
	}
	span, whole, _ := strings.Cut(ranges, "/")
	from, to, _ := strings.Cut(span, "-")
	first, firstErr := strconv.ParseUint(from, 10, 63)
	last, lastErr := strconv.ParseUint(to, 10, 63)
	if firstErr != nil || lastErr != nil || first > last {
		return part{}, false
	}
	read := part{first: int64(first), last: int64(last)}
	if whole == "*" {
		return read, true
	}
	size, err := strconv.ParseUint(whole, 10, 63)
	read.size = int64(size)
	return read, err == nil && read.last < read.size
}

// sourceOf is what a complete answer says of the content.
func sourceOf(response *http.Response) store.Source {
	return store.Source{Version: versionOf(response.Header), Size: max(response.ContentLength, 0)}
}

// versionOf is the strong validator of an answer: its ETag, or a Last-Modified that is so much older than the answer that
// nothing can have been changed within the same second (RFC 9110 section 8.8.2.2). The first starts with a quote.
func versionOf(header http.Header) string {
	if tag := header.Get("ETag"); tag != "" {
		if strings.HasPrefix(tag, `"`) {
			return tag
		}
		return "" // a weak one says nothing about bytes
	}
	modified, err := http.ParseTime(header.Get("Last-Modified"))
	date, dateErr := http.ParseTime(header.Get("Date"))
	if err != nil || dateErr != nil || date.Sub(modified) < time.Minute {
		return ""
	}
	return header.Get("Last-Modified")
}

// unless asks for content that is not of a version.
func unless(request *http.Request, version string) {
	if strings.HasPrefix(version, `"`) {
		request.Header.Set("If-None-Match", version)
	} else {
		request.Header.Set("If-Modified-Since", version)
	}
}
