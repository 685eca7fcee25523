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

// expand fills in a text's placeholders, escaped.
func expand(path, text string, values map[string]string, escape func(string) string, wrong *mistakes) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name := strings.TrimSuffix(strings.TrimPrefix(found, "${"), "}")
		value, known := values[name]
		switch {
		case !strings.HasSuffix(found, "}"):
			wrong.add(path, "${ has no }")
		case !placeholderName.MatchString(name):
			wrong.add(path, "${...} is not around a name of letters, digits and underscores")
		case !known:
			wrong.add(path, "there is no value for ${%s}: known are %s", name, strings.Join(slices.Sorted(maps.Keys(values)), ", "))
		}
		return escape(value)
	})
}

func raw(value string) string { return value }

// prepare checks a request and fills in its placeholders.
func prepare(path string, from Request, values map[string]string, authenticated bool, wrong *mistakes) *prepared {
	to := &prepared{
		method:  checkMethod(path, from.Method, wrong),
		url:     prepareURL(path+".url", from.URL, values, wrong),
		header:  http.Header{},
		success: compileRegexp(path+".success", from.Success, wrong),
		failure: compileRegexp(path+".failure", from.Failure, wrong),
	}
	for _, name := range slices.Sorted(maps.Keys(from.Headers)) {
		where := path + ".headers." + name
		value := expand(where, from.Headers[name], values, raw, wrong)
		switch canonical := textproto.CanonicalMIMEHeaderKey(name); {
		case !httpguts.ValidHeaderFieldName(name):
			wrong.add(path+".headers", "%q is not a header's name", name)
		case canonical == "Host" || canonical == "Content-Length" || canonical == "Transfer-Encoding":
			wrong.add(where, "cannot be set")
		case canonical == "Authorization" && authenticated:
			wrong.add(where, "is what auth sets: use one of the two")
		case to.header.Get(name) != "":
			wrong.add(where, "is there twice")
		case !validHeader(value):
			wrong.add(where, "has characters that no header may have: check that it ends without a line break")
		default:
			to.header.Set(name, value)
		}
	}
	to.body = expand(path+".body", from.Body, values, bodyEscape(to.header.Get("Content-Type")), wrong)
	return to
}

func validHeader(value string) bool { return httpguts.ValidHeaderFieldValue(value) }

// prepareURL escapes values by the part of the URL they are in. Nothing of the URL is in its mistakes.
func prepareURL(path, text string, values map[string]string, wrong *mistakes) *url.URL {
	authority, rest := cutAuthority(text)
	before, query, queried := strings.Cut(rest, "?")
	expanded := expand(path, authority, values, raw, wrong) + expand(path, before, values, url.PathEscape, wrong)
	if queried {
		expanded += "?" + expand(path, query, values, url.QueryEscape, wrong)
	}
	parsed, err := url.Parse(expanded)
	switch {
	case text == "":
		wrong.add(path, "is required")
	case err != nil:
		wrong.add(path, "is not a URL")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		wrong.add(path, "does not begin with http:// or https://")
	case parsed.Hostname() == "":
		wrong.add(path, "has no host")
	case parsed.User != nil:
		wrong.add(path, "has a user in it: use auth, or ${user} and ${password} in the query")
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
