package v1alpha2

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ConditionType names one aspect of an object's state, for example PowerCycle.
type ConditionType string

// ConditionSeverity tells how much a condition that is False matters: Error, Warning, Info, or empty when it is True.
type ConditionSeverity string

// Severities of a condition whose status is False.
const (
	SeverityError   ConditionSeverity = "Error"
	SeverityWarning ConditionSeverity = "Warning"
	SeverityInfo    ConditionSeverity = "Info"
)

// Condition tells one aspect of an object's state. Its shape is that of Cluster API's v1beta1 contract, with severity,
// which Sidero's clients read.
type Condition struct {
	// Type of the condition in CamelCase.
	Type ConditionType `json:"type"`

	// Status of the condition: True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`

	// Severity classifies a condition that is False: Error, Warning or Info.
	// +optional
	Severity ConditionSeverity `json:"severity,omitempty"`

	// LastTransitionTime is when the condition last changed.
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`

	// Reason for the last change, one word in CamelCase.
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message for people about the last change.
	// +optional
	Message string `json:"message,omitempty"`
}

// Conditions is the list of an object's conditions, one per type.
type Conditions []Condition

// Find returns the condition of a type, and whether there is one.
func (c Conditions) Find(kind ConditionType) (Condition, bool) {
	at := slices.IndexFunc(c, func(c Condition) bool { return c.Type == kind })
	if at < 0 {
		return Condition{}, false
	}

	return c[at], true
}

// Is tells whether the condition of a type has a status.
func (c Conditions) Is(kind ConditionType, status corev1.ConditionStatus) bool {
	found, ok := c.Find(kind)

	return ok && found.Status == status
}

// With returns the conditions, sorted by type as Cluster API has them, with one in place of that of its type.
func (c Conditions) With(condition Condition) Conditions {
	all := append(c.Without(condition.Type), condition)
	slices.SortFunc(all, func(a, b Condition) int { return cmp.Compare(a.Type, b.Type) })

	return all
}

// Without returns the conditions but that of a type.
func (c Conditions) Without(kind ConditionType) Conditions {
	return slices.DeleteFunc(slices.Clone(c), func(c Condition) bool { return c.Type == kind })
}

// ValidateConditions refuses a condition that lacks a part, and two of one type: the list is a map to server-side apply.
func ValidateConditions(path *field.Path, conditions Conditions) field.ErrorList {
	var errs field.ErrorList

	seen := map[ConditionType]bool{}

	for i, c := range conditions {
		at := path.Index(i)

		if c.Type == "" {
			errs = append(errs, field.Required(at.Child("type"), ""))
		} else if seen[c.Type] {
			errs = append(errs, field.Duplicate(at.Child("type"), c.Type))
		}

		if c.Status == "" {
			errs = append(errs, field.Required(at.Child("status"), ""))
		}

		if c.LastTransitionTime.IsZero() {
			errs = append(errs, field.Required(at.Child("lastTransitionTime"), ""))
		}

		seen[c.Type] = true
	}

	return errs
}
