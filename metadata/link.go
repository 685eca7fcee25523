package metadata

import (
	"net/url"

	"github.com/google/uuid"

	"github.com/sidero-appliance/sidero-appliance/machineconfig"
)

// Link is where nodes report to. What is empty is left out of their configurations.
type Link struct {
	// API is SideroLink's, such as grpc://192.0.2.1:8081.
	API string
	// Events is HOST:PORT of the event sink, with an IPv6 host in brackets.
	Events string
	// Logs is the URL that kernel logs are sent to, such as tcp://[fd00::1]:4001.
	Logs string
}

const (
	// logName is upstream's.
	logName = "remote-log"
	// uuidLength is that of a UUID as text. The name of a Server whose UUID others have as well goes on after it.
	uuidLength = 36
)

// documents are those of a server's configuration, in upstream's order.
func (l Link) documents(server string) []machineconfig.Document {
	var all []machineconfig.Document

	if l.API != "" {
		all = append(all, machineconfig.Document{Kind: "SideroLinkConfig", Fields: map[string]string{"apiUrl": l.joining(server)}})
	}

	if l.Events != "" {
		all = append(all, machineconfig.Document{Kind: "EventSinkConfig", Fields: map[string]string{"endpoint": l.Events}})
	}

	if l.Logs != "" {
		all = append(all, machineconfig.Document{Kind: "KmsgLogConfig", Name: logName, Fields: map[string]string{"url": l.Logs}})
	}

	return all
}

// joining is where a server's machine joins. It tells its UUID there; where several machines have it, so that this is not the name of
// the server, the token of the address tells that, which Talos gives back as it is.
func (l Link) joining(server string) string {
	if len(server) <= uuidLength || uuid.Validate(server[:uuidLength]) != nil {
		return l.API
	}

	return l.API + "/?jointoken=" + url.QueryEscape(server)
}
