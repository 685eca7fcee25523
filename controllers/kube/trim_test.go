package kube

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestTrim: the garbage collector keeps what it goes by.
func TestTrim(t *testing.T) {
	full := metav1.ObjectMeta{
		Name: "a", Namespace: "b", UID: "1", ResourceVersion: "2", Finalizers: []string{"f"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Server", Name: "s", UID: "3"}}, DeletionTimestamp: new(metav1.Now()),
	}

	given := &metav1.PartialObjectMetadata{ObjectMeta: *full.DeepCopy()}
	given.Labels, given.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d"}
	given.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}}

	got, err := trim(given)
	if diff := cmp.Diff(&metav1.PartialObjectMetadata{ObjectMeta: full}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}

	if got, err := trim("a tombstone"); got != "a tombstone" || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
