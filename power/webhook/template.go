package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A placeholder is ${name}.
var (
	placeholder     = regexp.MustCompile(`\$\{([^}]*)\}?`)
	placeholderName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// prepared is a request whose placeholders are filled in.
type prepared struct {
	method           string
	url              *url.URL
	header           http.Header
	body             string
	success, failure *regexp.Regexp
}

// checker fills in placeholders and collects what is wrong.
type checker struct {
	values map[string]string
	// authenticated is true where requests get an Authorization of their own.
	authenticated bool
	wrong         []error
}

// add adds a mistake, with where it is in the configuration.
func (c *checker) add(path, format string, arguments ...any) {
	c.wrong = append(c.wrong, fmt.Errorf("%s: %w", path, fmt.Errorf(format, arguments...)))
}

// expand fills in a text's placeholders, escaped.
func (c *checker) expand(path, text string, escape func(string) string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(found, "${"), "}")
		value, known := c.values[name]
		switch {
		case !strings.HasSuffix(found, "}"):
			c.add(path, "${ has no }")
		case !placeholderName.MatchString(name):
			c.add(path, "${...} is not around a name of letters, digits and underscores")
		case !known:
			c.add(path, "there is no value for ${%s}: known are %s", name, strings.Join(slices.Sorted(maps.Keys(c.values)), ", "))
		}
		return escape(value)
	})
}

func raw(value string) string { return value }

// prepare checks a request and fills in its placeholders.
func (c *checker) prepare(path string, from Request) *prepared {
	to := &prepared{
		method:  c.method(path, from.Method),
		url:     c.prepareURL(path+".url", from.URL),
		header:  http.Header{},
		success: c.regexp(path+".success", from.Success),
		failure: c.regexp(path+".failure", from.Failure),
	}
	for _, name := range slices.Sorted(maps.Keys(from.Headers)) {
		where := path + ".headers." + name
		value := c.expand(where, from.Headers[name], raw)
		switch canonical := textproto.CanonicalMIMEHeaderKey(name); {
		case !httpguts.ValidHeaderFieldName(name):
			c.add(path+".headers", "%q is not a header's name", name)
		case canonical == "Host" || canonical == "Content-Length" || canonical == "Transfer-Encoding":
			c.add(where, "cannot be set")
		case canonical == "Authorization" && c.authenticated:
			c.add(where, "is what auth sets: use one of the two")
		case to.header.Get(name) != "":
			c.add(where, "is there twice")
		case !validHeader(value):
			c.add(where, "has characters that no header may have: check that it ends without a line break")
		default:
			to.header.Set(name, value)
		}
	}
	to.body = c.expand(path+".body", from.Body, bodyEscape(to.header.Get("Content-Type")))
	return to
}

func validHeader(value string) bool { return httpguts.ValidHeaderFieldValue(value) }

// prepareURL escapes values by the part of the URL they are in. Nothing of the URL is in its mistakes.
func (c *checker) prepareURL(path, text string) *url.URL {
	authority, rest := cutAuthority(text)
	before, query, queried := strings.Cut(rest, "?")
	expanded := c.expand(path, authority, raw) + c.expand(path, before, url.PathEscape)
	if queried {
		expanded += "?" + c.expand(path, query, url.QueryEscape)
	}
	parsed, err := url.Parse(expanded)
	switch {
	case text == "":
		c.add(path, "is required")
	case err != nil:
		c.add(path, "is not a URL")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		c.add(path, "does not begin with http:// or https://")
	case parsed.Hostname() == "":
		c.add(path, "has no host")
	case parsed.User != nil:
		c.add(path, "has a user in it: use auth, or ${user} and ${password} in the query")
	}
	return parsed
}

// cutAuthority takes scheme and host, or the placeholder for them.
func cutAuthority(text string) (authority, rest string) {
	start := 0
	if scheme := strings.Index(text, "://"); scheme >= 0 && !strings.ContainsAny(text[:scheme], "/?#") {
		start = scheme + len("://")
	}
	if end := strings.IndexAny(text[start:], "/?#"); end >= 0 {
		return text[:start+end], text[start+end:]
	}
	return text, ""
}

// bodyEscape is how a value is put into a body of a content type.
func bodyEscape(contentType string) func(string) string {
	switch {
	case strings.Contains(contentType, "json"):
		return func(value string) string {
			quoted, err := json.Marshal(value)
			if err != nil {
				return ""
			}
			return string(quoted[1 : len(quoted)-1])
		}
	case strings.Contains(contentType, "x-www-form-urlencoded"):
		return url.QueryEscape
	}
	return raw
}

// host is all of a request's URL that may be told.
func (p *prepared) host() string { return fmt.Sprintf("%s://%s", p.url.Scheme, p.url.Host) }
