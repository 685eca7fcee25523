package download

import "net/http"

// Transport is the one that is used when none is given.
func Transport() *http.Transport { return transport() }

// ReasonOf is the reason of an attempt's error.
func ReasonOf(err error) Reason { return classify(err).Reason }
