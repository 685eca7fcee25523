package machineconfig

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Canonical writes a configuration so that two that mean the same are the same: keys are sorted, and comments left out.
func Canonical(configuration []byte) ([]byte, error) {
	return rewrite(configuration, func(document any) any { return document })
}

// Redact is Canonical with a mark for each secret: what Talos's machinery takes for one, what a field's name tells to be one, and
// whatever may hold one, such as the content of files and the environment of programs. Documents that the machinery does not know
// are treated alike.
func Redact(configuration []byte, mark func(secret string) string) ([]byte, error) {
	return rewrite(configuration, func(document any) any { return redacted(document, false, mark) })
}

func rewrite(configuration []byte, change func(document any) any) ([]byte, error) {
	documents := split(configuration)

	for i, text := range documents {
		var document any
		if err := yaml.Unmarshal(text, &document); err != nil {
			return nil, errors.New("read configuration: it is no YAML")
		}

		written, err := yaml.Marshal(change(document))
		if err != nil {
			return nil, errors.New("write configuration: it has a value that YAML cannot say")
		}

		documents[i] = written
	}

	return join(documents), nil
}

// redacted is a value without the secrets in it, or all of it if it is secret itself.
func redacted(value any, secret bool, mark func(string) string) any {
	switch value := value.(type) {
	case map[string]any:
		for key, below := range value {
			value[key] = redacted(below, secret || namesSecret(key, below), mark)
		}

		return value
	case []any:
		for i, below := range value {
			value[i] = redacted(below, secret, mark)
		}

		return value
	case string:
		if value != "" && (secret || isPrivateKey(value)) {
			return mark(value)
		}

		return redactedURL(value, mark)
	case nil, bool:
		return value
	default:
		if secret {
			return mark(fmt.Sprint(value))
		}

		return value
	}
}

// namesSecret tells by its name whether what is in a field is secret, or may be.
func namesSecret(key string, value any) bool {
	name := strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(key))
	_, mapping := value.(map[string]any)

	if name == "auth" || name == "key" {
		return !mapping // or it is in a field below
	}

	if slices.Contains([]string{"content", "contents", "env", "environment", "variables", "psk", "extramanifestheaders", "keydata"}, name) {
		return true
	}

	return slices.ContainsFunc([]string{"secret", "token", "password", "passwd", "passphrase", "credential", "privatekey", "presharedkey", "apikey"},
		func(part string) bool { return strings.Contains(name, part) })
}

// pemBegins is how PEM begins, in base 64.
const pemBegins = "LS0tLS1CRUdJTi"

func isPrivateKey(value string) bool {
	if strings.HasPrefix(value, pemBegins) {
		decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
		if err != nil {
			return true // nobody knows
		}

		value = string(decoded)
	}

	return strings.Contains(value, "PRIVATE KEY")
}

// inURL finds what is secret in addresses: the user with the password, and parameters of the query.
var inURL = regexp.MustCompile(`(?i)(://)[^/\s@]+(@)|([?&][^=&\s]*(?:token|secret|password|key)[^=&\s]*=)[^&\s#]+`)

func redactedURL(value string, mark func(string) string) string {
	return inURL.ReplaceAllStringFunc(value, func(found string) string {
		parts := inURL.FindStringSubmatch(found)
		before, after := parts[1]+parts[3], parts[2]

		return before + mark(strings.TrimSuffix(strings.TrimPrefix(found, before), after)) + after
	})
}
