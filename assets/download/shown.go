package download

import (
	"errors"
	"fmt"
	"net/url"
)

// shown is a URL for logs and messages. It lacks the user and the query: either may be a secret, as in https://TOKEN@host and in
// the signed URLs that object stores redirect to.
func shown(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "a malformed URL"
	}
	parsed.User, parsed.Fragment = nil, ""
	if parsed.RawQuery != "" {
		parsed.RawQuery = "..."
	}
	return parsed.String()
}

// shownError is an error of net/http with its URL as it may be shown.
func shownError(err error) error {
	var from *url.Error
	if !errors.As(err, &from) {
		return err
	}
	return fmt.Errorf("get %s: %w", shown(from.URL), from.Err)
}
