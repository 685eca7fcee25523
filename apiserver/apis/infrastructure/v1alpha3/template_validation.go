package v1alpha3

import (
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate refuses labels and annotations that no object can have.
func (m TemplateMeta) Validate(path *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabels(m.Labels, path.Child("labels"))

	return append(errs, apivalidation.ValidateAnnotations(m.Annotations, path.Child("annotations"))...)
}
