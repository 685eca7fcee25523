package configuration

import (
	"errors"
	"net/url"
	"strings"
)

// address is the URL with what Talos fills in.
func (s Source) address() (*url.URL, error) {
	raw := s.URL
	for name, value := range s.Values {
		raw = strings.ReplaceAll(raw, "${"+name+"}", url.QueryEscape(value))
	}

	at, err := url.Parse(raw)
	if err != nil || at.Host == "" {
		return nil, errors.New("read talos.config: it is no URL")
	}

	// A uuid without a value is how it was written before there were variables.
	if query := at.Query(); query.Has("uuid") && query.Get("uuid") == "" {
		query.Set("uuid", s.Values["uuid"])
		at.RawQuery = query.Encode()
	}

	return at, nil
}
