package appliance

import (
	"strconv"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/sidero-appliance/sidero-appliance/netboot/dhcp"
	"github.com/sidero-appliance/sidero-appliance/netboot/httpboot"
	"github.com/sidero-appliance/sidero-appliance/netboot/tftp"
)

// bootMetrics count what machines ask for and what became of it, malformed
// requests included. They are served with the API server's on /metrics.
type bootMetrics struct {
	dhcpPackets  *metrics.CounterVec
	tftpRequests *metrics.CounterVec
	httpRequests *metrics.CounterVec
}

func newBootMetrics() (*bootMetrics, error) {
	m := &bootMetrics{
		dhcpPackets: counter("dhcp_packets_total",
			"DHCP packets received, by port and by why they were answered or not.", "port", "reason"),
		tftpRequests: counter("tftp_requests_total", "TFTP requests, by what became of them.", "outcome"),
		httpRequests: counter("http_requests_total",
			"HTTP requests of machines, by what they were for and status; 0 is a malformed request.", "kind", "status"),
	}
	for _, c := range []metrics.Registerable{m.dhcpPackets, m.tftpRequests, m.httpRequests} {
		if err := legacyregistry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func counter(name, help string, labels ...string) *metrics.CounterVec {
	return metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace: "sidero", Name: name, Help: help, StabilityLevel: metrics.ALPHA,
	}, labels)
}

func (m *bootMetrics) dhcp(e dhcp.Event) {
	m.dhcpPackets.WithLabelValues(strconv.Itoa(int(e.Port)), string(e.Reason)).Inc()
}

func (m *bootMetrics) tftp(e tftp.Event) {
	m.tftpRequests.WithLabelValues(string(e.Outcome)).Inc()
}

func (m *bootMetrics) http(o httpboot.Observation) {
	m.httpRequests.WithLabelValues(string(o.Kind), strconv.Itoa(o.Status)).Inc()
}

// registrationMetrics count calls of the agent.
type registrationMetrics struct{ requests *metrics.CounterVec }

func newRegistrationMetrics() (*registrationMetrics, error) {
	m := &registrationMetrics{counter("registration_requests_total", "Calls of agents, by method and gRPC status code.", "method", "code")}
	return m, legacyregistry.Register(m.requests)
}

func (m *registrationMetrics) observe(method, code string) {
	m.requests.WithLabelValues(method, code).Inc()
}
