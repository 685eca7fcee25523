package refusal

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// patched is what Kubernetes calls the field when a patched object cannot be decoded; its value follows, in quotes.
const patched = "patch: Invalid value: "

// rewrite says in a refusal what is wrong, if it is one of those that do not. It tells whether anything was changed.
func rewrite(status *metav1.Status, info *request.RequestInfo, patch []byte) bool {
	if i := strings.Index(status.Message, patched); i >= 0 {
		field, problem := misfit(status.Message[i+len(patched):])
		if problem == "" {
			return false
		}

		say(status, info, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: field, Message: problem})

		return true
	}

	if status.Message != unapplied {
		return false
	}

	say(status, info, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Message: "the patch does not apply" + operations(patch)})

	return true
}

// unapplied is all that Kubernetes says when an operation of a JSON patch does not apply.
const unapplied = "the server rejected our request due to an error in our request"

// operations are those of a JSON patch (RFC 6902) that depend on what the object holds.
func operations(patch []byte) string {
	var all []struct{ Op, Path, From string }
	if json.Unmarshal(patch, &all) != nil {
		return ""
	}

	const shown = 5

	var texts []string

	for _, o := range all {
		switch {
		case len(texts) == shown:
			return ": the object lacks what one of its operations needs, or a test fails"
		case o.From != "":
			texts = append(texts, o.Op+" from "+o.From+" to "+o.Path)
		default:
			texts = append(texts, o.Op+" "+o.Path)
		}
	}

	if len(texts) == 1 && all[0].Op == "test" {
		return ": " + texts[0] + ": the object holds another value there"
	}

	return ": the object lacks what it needs, or a test fails: " + strings.Join(texts, ", ")
}

// typeMismatch is how Go's JSON decoder tells that a value does not fit.
var typeMismatch = regexp.MustCompile(`cannot unmarshal (.+) into Go (?:struct field|value) (?:\w+\.)?(\S+) of type (\S+)$`)

// misfit is the field that does not fit and why, from a text that begins with the whole object in quotes.
func misfit(text string) (field, problem string) {
	object, err := strconv.QuotedPrefix(text)
	if err != nil {
		return "", ""
	}

	problem = strings.TrimPrefix(strings.TrimPrefix(text[len(object):], ": "), "json: ")

	if m := typeMismatch.FindStringSubmatch(problem); m != nil {
		return m[2], fmt.Sprintf("must be of type %s, not %s", kind(m[3]), kind(m[1]))
	}

	return "", problem
}

// kind is JSON's name of a type.
func kind(goType string) string {
	switch name := strings.TrimLeft(goType, "*"); {
	case name == "bool":
		return "boolean"
	case strings.HasPrefix(name, "int"), strings.HasPrefix(name, "uint"):
		return "integer"
	case strings.HasPrefix(name, "[]"):
		return "array"
	case strings.Contains(name, ".") || strings.HasPrefix(name, "map["):
		return "object"
	default:
		return name
	}
}

func say(status *metav1.Status, info *request.RequestInfo, cause metav1.StatusCause) {
	problem := cause.Message
	if cause.Field != "" {
		problem = cause.Field + ": " + problem
	}

	resource := info.Resource
	if info.APIGroup != "" {
		resource += "." + info.APIGroup
	}

	status.Message = fmt.Sprintf("%s %q is invalid: %s", resource, info.Name, problem)
	status.Details = &metav1.StatusDetails{Group: info.APIGroup, Kind: info.Resource, Name: info.Name, Causes: []metav1.StatusCause{cause}}
}
