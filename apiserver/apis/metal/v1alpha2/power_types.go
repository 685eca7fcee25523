package v1alpha2

// PowerDriver names a way to control a machine's power.
type PowerDriver string

// The power drivers.
const (
	// PowerIPMI speaks to spec.bmc by IPMI.
	PowerIPMI PowerDriver = "ipmi"
	// PowerRedfish speaks to spec.bmc, or to spec.power.redfish, by Redfish.
	PowerRedfish PowerDriver = "redfish"
	// PowerAPI speaks to spec.managementApi.
	PowerAPI PowerDriver = "api"
	// PowerWakeOnLAN wakes the machine. A person turns it off.
	PowerWakeOnLAN PowerDriver = "wol"
	// PowerWebhook sends HTTP requests, such as to a smart plug.
	PowerWebhook PowerDriver = "webhook"
	// PowerManual asks a person for everything.
	PowerManual PowerDriver = "manual"
)

// PowerDrivers are all of them.
func PowerDrivers() []PowerDriver {
	return []PowerDriver{PowerIPMI, PowerRedfish, PowerAPI, PowerWakeOnLAN, PowerWebhook, PowerManual}
}

// PowerControl tells how a machine's power is controlled, beyond what upstream has.
type PowerControl struct {
	// Driver is the way: ipmi, redfish, api, wol, webhook or manual. When it is absent: redfish, webhook or wol if there are
	// settings for it here, in this order; else ipmi with spec.bmc; else api with spec.managementApi; else manual.
	// +optional
	Driver PowerDriver `json:"driver,omitempty"`

	// Redfish are settings of the driver redfish. It logs in with spec.bmc's user and password.
	// +optional
	Redfish *RedfishPower `json:"redfish,omitempty"`

	// WakeOnLAN are settings of the driver wol.
	// +optional
	WakeOnLAN *WakeOnLANPower `json:"wakeOnLAN,omitempty"`

	// Webhook are settings of the driver webhook.
	// +optional
	Webhook *WebhookPower `json:"webhook,omitempty"`
}

// PowerDriver is the way that the machine's power is controlled, as PowerControl.Driver says.
func (s *ServerSpec) PowerDriver() PowerDriver {
	given := s.Power
	if given == nil {
		given = &PowerControl{}
	}

	switch {
	case given.Driver != "":
		return given.Driver
	case given.Redfish != nil:
		return PowerRedfish
	case given.Webhook != nil:
		return PowerWebhook
	case given.WakeOnLAN != nil:
		return PowerWakeOnLAN
	case s.BMC != nil:
		return PowerIPMI
	case s.ManagementAPI != nil:
		return PowerAPI
	default:
		return PowerManual
	}
}

// TurnsOff tells whether the machine's power control turns it off, and needs no person for that.
func (s *ServerSpec) TurnsOff() bool {
	switch s.PowerDriver() {
	case PowerManual, PowerWakeOnLAN:
		return false
	case PowerWebhook:
		return s.Power.Webhook != nil && (s.Power.Webhook.Preset != "" || s.Power.Webhook.Off != nil)
	case PowerIPMI: // without credentials its set-up is not complete
		return s.BMC.HasLogin()
	default:
		return true
	}
}

// SeesPower tells whether the machine's power control knows if it is on.
func (s *ServerSpec) SeesPower() bool {
	switch s.PowerDriver() {
	case PowerManual, PowerWakeOnLAN:
		return false
	case PowerWebhook:
		return s.Power.Webhook != nil && (s.Power.Webhook.Preset != "" || s.Power.Webhook.State != nil)
	default:
		return true
	}
}

// RedfishPower are settings of the driver redfish.
type RedfishPower struct {
	// Endpoint is HOST, HOST:PORT or a URL. spec.bmc.endpoint when absent.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`

	// System is the id of the machine, where a service has several.
	// +optional
	System string `json:"system,omitempty"`

	// Fingerprint is the SHA-256 of the certificate that is trusted, in hexadecimal. When it is absent the first one seen is
	// trusted, and recorded in status.bmcFingerprint.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`

	// HTTPBoot has the BMC tell UEFI where the appliance's boot file is, so that no DHCP server has to: for networks on which no other
	// answers than the router's. A BMC that takes no such address is told to boot by PXE, as without this.
	// +optional
	HTTPBoot bool `json:"httpBoot,omitempty"`
}

// WakeOnLANPower are settings of the driver wol.
type WakeOnLANPower struct {
	// MACs are the addresses to wake. Those of the machine's network interfaces when absent.
	// +optional
	// +listType=atomic
	MACs []string `json:"macs,omitempty"`

	// Interface sends Ethernet frames out of this interface of the appliance, for machines in the same network. UDP to
	// Address when absent.
	// +optional
	Interface string `json:"interface,omitempty"`

	// Address is IP:PORT, 255.255.255.255:9 when absent.
	// +optional
	Address string `json:"address,omitempty"`
}

// WebhookPower are settings of the driver webhook: either a preset, or the requests.
type WebhookPower struct {
	// Preset is a make of device: shelly-gen1, shelly-gen2, tasmota or home-assistant.
	// +optional
	Preset string `json:"preset,omitempty"`

	// URL is how the preset's device is reached, such as http://10.0.0.9.
	// +optional
	URL string `json:"url,omitempty"`

	// Entity is the channel of the preset's device, or Home Assistant's entity.
	// +optional
	Entity string `json:"entity,omitempty"`

	// Auth is how requests without a preset log in: basic, digest or bearer.
	// +optional
	Auth string `json:"auth,omitempty"`

	// SecretRef names a Secret with the keys user, password and token, as far as they are needed.
	// +optional
	SecretRef *SecretRef `json:"secretRef,omitempty"`

	// On is sent to turn the machine on.
	// +optional
	On *WebhookRequest `json:"on,omitempty"`

	// Off is sent to turn the machine off.
	// +optional
	Off *WebhookRequest `json:"off,omitempty"`

	// Cycle is sent to turn the machine off and on again. Off and on are sent when it is absent.
	// +optional
	Cycle *WebhookRequest `json:"cycle,omitempty"`

	// State is sent to ask whether the machine has power.
	// +optional
	State *WebhookStateRequest `json:"state,omitempty"`
}

// SecretRef names a Secret.
type SecretRef struct {
	// Namespace of the Secret, default when absent.
	// +optional
	Namespace string `json:"namespace,omitempty"`

	// Name of the Secret.
	Name string `json:"name"`
}

// WebhookRequest is an HTTP request. Its texts may have the placeholders ${user}, ${password} and ${token}.
type WebhookRequest struct {
	// Method of HTTP, GET when absent.
	// +optional
	Method string `json:"method,omitempty"`

	// URL to send it to.
	URL string `json:"url"`

	// Headers to send.
	// +optional
	Headers map[string]string `json:"headers,omitempty"`

	// Body to send.
	// +optional
	Body string `json:"body,omitempty"`

	// Success is a regular expression of the answers that did what was asked. Any answer with a status of 2xx when absent.
	// +optional
	Success string `json:"success,omitempty"`
}

// WebhookStateRequest is a request whose answer tells whether there is power.
type WebhookStateRequest struct {
	WebhookRequest `json:",inline"`

	// JSONPath is where in the answer it is told, such as result.on.
	// +optional
	JSONPath string `json:"jsonPath,omitempty"`

	// Regexp finds it in an answer that is not JSON, by its first group.
	// +optional
	Regexp string `json:"regexp,omitempty"`

	// On are values that mean that there is power. on, true and 1 when absent.
	// +optional
	// +listType=atomic
	On []string `json:"on,omitempty"`

	// Off are values that mean that there is none. off, false and 0 when absent.
	// +optional
	// +listType=atomic
	Off []string `json:"off,omitempty"`
}
