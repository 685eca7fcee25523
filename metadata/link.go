package metadata

import "github.com/sidero-appliance/sidero-appliance/machineconfig"

// Link is where nodes report to. What is empty is left out of their configurations.
type Link struct {
	// API is SideroLink's, such as grpc://192.0.2.1:8081.
	API string
	// Events is HOST:PORT of the event sink, with an IPv6 host in brackets.
	Events string
	// Logs is the URL that kernel logs are sent to, such as tcp://[fd00::1]:4001.
	Logs string
}

// logName is upstream's.
const logName = "remote-log"

// documents are those of a configuration, in upstream's order.
func (l Link) documents() []machineconfig.Document {
	var all []machineconfig.Document

	if l.API != "" {
		all = append(all, machineconfig.Document{Kind: "SideroLinkConfig", Fields: map[string]string{"apiUrl": l.API}})
	}

	if l.Events != "" {
		all = append(all, machineconfig.Document{Kind: "EventSinkConfig", Fields: map[string]string{"endpoint": l.Events}})
	}

	if l.Logs != "" {
		all = append(all, machineconfig.Document{Kind: "KmsgLogConfig", Name: logName, Fields: map[string]string{"url": l.Logs}})
	}

	return all
}
