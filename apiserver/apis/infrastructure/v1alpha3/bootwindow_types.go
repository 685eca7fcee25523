package v1alpha3

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BootWindowOpener is why a boot window opened.
type BootWindowOpener string

// Openers of boot windows.
const (
	// OpenedByBinding is that of a server that was bound.
	OpenedByBinding BootWindowOpener = "Bound"
	// OpenedByPower is that of a machine that the appliance has started.
	OpenedByPower BootWindowOpener = "PoweredOn"
	// OpenedByPerson is that of somebody who asked for it: metal.sidero.dev/boot-window on the Server.
	OpenedByPerson BootWindowOpener = "Person"
)

// BootWindow is when a server's machine may fetch its configuration, which holds secrets of its cluster. It is open for 30 minutes
// from openedAt on, unless the machine reports before that its configuration is loaded. Absent, it opened with the binding. Only the
// metadata server writes it.
type BootWindow struct {
	// Generation counts the windows of the binding. It goes into the token by which the machine fetches its configuration. A
	// window that is opened again while it is open keeps it.
	Generation int64 `json:"generation"`

	// OpenedAt is when the window was opened last.
	OpenedAt metav1.MicroTime `json:"openedAt"`

	// OpenedBy is why: Bound, PoweredOn or Person.
	OpenedBy BootWindowOpener `json:"openedBy"`

	// Request is the value of the Server's annotation metal.sidero.dev/boot-window that has been taken up.
	// +optional
	Request string `json:"request,omitempty"`
}
