package environment

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

// Reasons of conditions, beside those of assets/download.
const (
	// reasonVerified is a file with the SHA-512 of the spec.
	reasonVerified = "Verified"
	// reasonDownloaded is a file that nobody has given a SHA-512 for.
	reasonDownloaded = "Downloaded"
	// reasonMissingURL is a file without a URL.
	reasonMissingURL = "MissingURL"
	// reasonNameReserved is an Environment with the name of a registration agent.
	reasonNameReserved = "NameReserved"
)

// teller makes conditions of states.
type teller struct {
	state func(store.Ref) download.State
	// place is where a person can put the file of a URL.
	place func(url string) (string, error)
}

// conditions tells of each file, first those that are missing: the column of kubectl shows the first one's status.
func (t teller) conditions(e *v1alpha2.Environment) []v1alpha2.AssetCondition {
	conditions := []v1alpha2.AssetCondition{
		t.condition(e, e.Spec.Kernel.Asset, "spec.kernel.url"),
		t.condition(e, e.Spec.Initrd.Asset, "spec.initrd.url"),
	}

	slices.SortStableFunc(conditions, func(a, b v1alpha2.AssetCondition) int {
		switch {
		case a.Status == b.Status:
			return 0
		case a.Status == string(metav1.ConditionFalse):
			return -1
		default:
			return 1
		}
	})

	return conditions
}

func (t teller) condition(e *v1alpha2.Environment, asset v1alpha2.Asset, path string) v1alpha2.AssetCondition {
	c := v1alpha2.AssetCondition{Asset: asset, Type: v1alpha2.AssetConditionReady, Status: string(metav1.ConditionFalse)}

	switch {
	case Reserved(e):
		c.Reason = reasonNameReserved
		c.Message = fmt.Sprintf("%s is the name of the registration agent: choose another, or annotate the Environment with %s=true to have machines boot it in place of the agent",
			e.Name, v1alpha2.AnnotationReplaceAgent)
	case asset.URL == "":
		c.Reason, c.Message = reasonMissingURL, path+" is empty: name the file to boot"
	default:
		t.tell(&c, t.state(refOf(asset)))
	}

	return c
}

// tell writes a state into a condition.
func (t teller) tell(c *v1alpha2.AssetCondition, s download.State) {
	if s.Blob != nil {
		c.Status, c.Reason = string(metav1.ConditionTrue), reasonDownloaded
		if c.SHA512 != "" {
			c.Reason = reasonVerified
		}

		c.Size, c.Digest = s.Blob.Size, s.Blob.Digest

		return
	}

	c.Reason, c.Size, c.Received = string(s.Reason), s.Total, s.Received

	switch {
	case s.Err != nil:
		c.Message = s.Err.Error() + t.advice(c.URL, s)
	case s.Reason == download.Queued:
		c.Message = "waits for other downloads"
	case s.Total > 0:
		c.Message = fmt.Sprintf("%d of %d MiB", s.Received>>20, s.Total>>20)
	}
}

// advice is what happens next, and what a person can do where it will not help.
func (t teller) advice(url string, s download.State) string {
	text := ""

	switch s.Reason {
	case download.Unreachable, download.ProxyFailed, download.TLSFailed, download.NotFound, download.Refused, download.Stalled:
		if path, err := t.place(url); err == nil {
			text = "; or bring the file yourself and put it at " + path
		}
	}

	if !s.Next.IsZero() {
		text += "; next try by " + s.Next.UTC().Format(time.RFC3339)
	}

	return text
}

// failed tells whether a reason says that something went wrong.
func failed(reason string) bool {
	return reason != string(download.Queued) && reason != string(download.Downloading)
}
