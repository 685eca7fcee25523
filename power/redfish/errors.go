package redfish

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/stmcginnis/gofish/common"

	"github.com/sidero-appliance/sidero-appliance/power"
)

// status is the HTTP status that an error is about, or 0.
func status(err error) int {
	var refused *common.Error
	if errors.As(err, &refused) {
		return refused.HTTPReturnedStatusCode
	}
	return 0
}

// message is what the BMC says of an error, with the id from its registry.
func message(refused *common.Error) string {
	for _, info := range refused.ExtendedInfos {
		if info.Message != "" || info.MessageID != "" {
			return strings.TrimSpace(quote([]byte(info.Message)) + " " + quote([]byte(info.MessageID)))
		}
	}
	return quote([]byte(refused.Message))
}

// explain makes of gofish's error, which is the answer's bytes, a sentence, and says what can be done.
func explain(err error) error {
	var refused *common.Error
	var failed *url.Error
	switch {
	case errors.Is(err, ErrCredentials):
		return reword(err, ErrCredentials, ErrCredentials.Error()+": check them at the BMC's web page before trying again, BMCs lock accounts")
	case errors.As(err, &refused) && refused.HTTPReturnedStatusCode != 0:
		return reword(err, refused, fmt.Sprintf("the BMC answers %d: %s", refused.HTTPReturnedStatusCode, message(refused)))
	case !errors.As(err, &failed):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return reword(err, failed, "no answer in time: "+context.DeadlineExceeded.Error())
	case strings.Contains(failed.Err.Error(), "server gave HTTP response to HTTPS client"):
		return reword(err, failed, failed.Err.Error()+": an endpoint without TLS needs http:// before it")
	}
	return reword(err, failed, failed.Err.Error())
}

// class is what an error means for trying again. What a BMC says while it is starting or busy is transient.
func class(err error) power.Class {
	var changed *CertificateError
	switch code := status(err); {
	case errors.Is(err, ErrCredentials) || code == http.StatusUnauthorized || code == http.StatusForbidden:
		return power.Denied
	case errors.As(err, &changed), errors.Is(err, errNotAllowed), errors.Is(err, errWhichSystem),
		errors.Is(err, errNotOffered), errors.Is(err, ErrNoBootOverride), errors.Is(err, ErrBootNotKept), errors.Is(err, ErrNoHTTPBoot):
		return power.Refused
	case code == http.StatusBadRequest || code == http.StatusMethodNotAllowed || code == http.StatusNotImplemented:
		return power.Refused
	}
	return power.Transient
}

// reworded is an error whose last part has other words.
type reworded struct {
	error
	text string
}

func (r *reworded) Error() string { return r.text }

func (r *reworded) Unwrap() error { return r.error }

func reword(err, last error, text string) error {
	return &reworded{err, strings.TrimSuffix(err.Error(), last.Error()) + text}
}

// quote makes a peer's words fit for a log: one line, short.
func quote(text []byte) string {
	const limit = 200
	clean := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(text[:min(len(text), limit)]))
	clean = strings.Join(strings.Fields(clean), " ")
	switch {
	case clean == "":
		return "(nothing)"
	case len(text) > limit:
		return clean + "…"
	}
	return clean
}
