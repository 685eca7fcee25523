package api

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// TestWireFormat holds the protocol to Sidero Metal's: number, type and order of every
// field, and the methods' paths.
func TestWireFormat(t *testing.T) {
	want := map[string]string{
		"CreateServerRequest":              "1 message, 3 string",
		"CreateServerResponse":             "1 bool, 2 bool, 3 bool, 4 double",
		"MarkServerAsWipedRequest":         "1 string",
		"MarkServerAsWipedResponse":        "",
		"ReconcileServerAddressesRequest":  "1 string, 2 repeated message",
		"ReconcileServerAddressesResponse": "",
		"Address":                          "1 string, 2 string",
		"HeartbeatRequest":                 "1 string",
		"HeartbeatResponse":                "",
		"UpdateBMCInfoRequest":             "1 string, 2 message",
		"UpdateBMCInfoResponse":            "",
		"BMCInfo":                          "1 string, 2 uint32, 3 string, 4 string",
		"HardwareInformation":              "1 message, 2 message, 3 message, 4 message, 5 message",
		"SystemInformation":                "1 string, 2 string, 3 string, 4 string, 5 string, 6 string, 7 string",
		"ComputeInformation":               "1 uint32, 2 uint32, 3 uint32, 4 repeated message",
		"Processor":                        "1 string, 2 string, 3 string, 4 uint32, 5 uint32, 6 uint32",
		"MemoryInformation":                "1 uint32, 2 uint32, 3 repeated message",
		"MemoryModule":                     "1 string, 2 string, 3 string, 4 string, 5 uint32, 6 uint32",
		"StorageInformation":               "1 uint64, 2 uint32, 3 repeated message",
		"StorageDevice":                    "1 enum, 2 uint64, 3 string, 4 string, 5 string, 6 string, 7 string, 8 string",
		"NetworkInformation":               "1 uint32, 2 repeated message",
		"NetworkInterface":                 "1 uint32, 2 string, 3 string, 4 uint32, 5 string, 6 repeated string",
	}
	messages := File_registration_agent_api_agent_proto.Messages()
	if messages.Len() != len(want) {
		t.Errorf("there are %d messages, want %d", messages.Len(), len(want))
	}
	for i := range messages.Len() {
		message := messages.Get(i)
		if got := fieldsOf(message); got != want[string(message.Name())] {
			t.Errorf("%s has %s, want %s", message.Name(), got, want[string(message.Name())])
		}
	}
	for name, number := range map[string]int32{"Unknown": 0, "SSD": 1, "HDD": 2, "NVMe": 3, "SD": 4} {
		if StorageType_value[name] != number || StorageType_name[number] != name {
			t.Errorf("storage type %s is %d, want %d", name, StorageType_value[name], number)
		}
	}
	for _, method := range []string{
		Agent_CreateServer_FullMethodName, Agent_MarkServerAsWiped_FullMethodName, Agent_ReconcileServerAddresses_FullMethodName,
		Agent_Heartbeat_FullMethodName, Agent_UpdateBMCInfo_FullMethodName,
	} {
		if !strings.HasPrefix(method, "/api.Agent/") {
			t.Errorf("method is %s", method)
		}
	}
}

func fieldsOf(message protoreflect.MessageDescriptor) string {
	var list []string
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		repeated := ""
		if field.IsList() {
			repeated = "repeated "
		}
		list = append(list, fmt.Sprintf("%d %s%s", field.Number(), repeated, field.Kind()))
	}
	return strings.Join(list, ", ")
}
