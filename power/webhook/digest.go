package webhook

import (
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// challenge is a server's demand for digest authentication (RFC 7616 section 3.3).
type challenge struct {
	realm, nonce, opaque, algorithm string
	hasOpaque                       bool
	// qop is auth, or empty for servers of RFC 2069.
	qop string
}

// parseChallenges picks the strongest challenge there is an answer to.
func parseChallenges(headers []string) (challenge, error) {
	var best challenge
	found := false
	for _, header := range headers {
		parameters, isDigest := digestParameters(header)
		if !isDigest {
			continue
		}
		candidate, usable := newChallenge(parameters)
		if usable && (!found || candidate.algorithm == "SHA-256") {
			best, found = candidate, true
		}
	}
	if !found {
		return challenge{}, errors.New("the server offers no digest authentication with SHA-256 or MD5")
	}
	return best, nil
}

func newChallenge(parameters map[string]string) (challenge, bool) {
	opaque, hasOpaque := parameters["opaque"]
	c := challenge{realm: parameters["realm"], nonce: parameters["nonce"], opaque: opaque, hasOpaque: hasOpaque, algorithm: strings.ToUpper(parameters["algorithm"])}
	if c.algorithm == "" {
		c.algorithm = "MD5"
	}
	if qop, given := parameters["qop"]; given {
		offered := strings.FieldsFunc(qop, func(r rune) bool { return r == ',' || r == ' ' })
		if !slices.Contains(offered, "auth") {
			return challenge{}, false
		}
		c.qop = "auth"
	}
	return c, c.nonce != "" && (c.algorithm == "MD5" || c.algorithm == "SHA-256")
}

// digestParameters parses one header with one challenge: name=token or name="text", with commas between.
func digestParameters(header string) (map[string]string, bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return nil, false
	}
	parameters := map[string]string{}
	for rest != "" {
		name, after, found := strings.Cut(rest, "=")
		if !found {
			break
		}
		var value string
		value, rest = cutValue(strings.TrimLeft(after, " \t"))
		parameters[strings.ToLower(strings.Trim(name, " \t,"))] = value
	}
	return parameters, true
}

// cutValue takes a quoted string, without its quotes and backslashes, or a token.
func cutValue(text string) (value, rest string) {
	if !strings.HasPrefix(text, `"`) {
		value, rest, _ = strings.Cut(text, ",")
		return strings.TrimSpace(value), rest
	}
	var unquoted strings.Builder
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i++; i < len(text) {
				unquoted.WriteByte(text[i])
			}
		case '"':
			return unquoted.String(), text[i+1:]
		default:
			unquoted.WriteByte(text[i])
		}
	}
	return unquoted.String(), ""
}

// authorization is the header that answers (RFC 7616 section 3.4), for the first use of the challenge's nonce.
func (c challenge) authorization(auth Auth, method, uri, clientNonce string) string {
	sum := func(parts ...string) string {
		h := md5.New()
		if c.algorithm == "SHA-256" {
			h = sha256.New()
		}
		h.Write([]byte(strings.Join(parts, ":")))
		return hex.EncodeToString(h.Sum(nil))
	}
	const count = "00000001"
	secret, asked := sum(auth.User, c.realm, auth.Password), sum(method, uri)
	response := sum(secret, c.nonce, asked)
	if c.qop != "" {
		response = sum(secret, c.nonce, count, clientNonce, c.qop, asked)
	}
	header := fmt.Sprintf("Digest username=%s, realm=%s, nonce=%s, uri=%s, response=\"%s\", algorithm=%s",
		quoteString(auth.User), quoteString(c.realm), quoteString(c.nonce), quoteString(uri), response, c.algorithm)
	if c.qop != "" {
		header += fmt.Sprintf(", qop=%s, nc=%s, cnonce=%s", c.qop, count, quoteString(clientNonce))
	}
	if c.hasOpaque {
		header += ", opaque=" + quoteString(c.opaque)
	}
	return header
}

func quoteString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// answerChallenge authorizes the second try of a request that was refused.
func answerChallenge(refused *http.Response, request *http.Request, auth Auth) error {
	challenge, err := parseChallenges(refused.Header.Values("WWW-Authenticate"))
	if err != nil {
		return err
	}
	header := challenge.authorization(auth, request.Method, request.URL.RequestURI(), rand.Text())
	if !validHeader(header) {
		return errors.New("the server's challenge has characters that no header may have")
	}
	request.Header.Set("Authorization", header)
	return nil
}
