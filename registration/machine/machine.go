package machine

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
)

const (
	// maxText is the longest text in a request, in bytes. SMBIOS strings (DSP0134) are far shorter in practice.
	maxText = 512
	// maxHostname is the longest host name (RFC 1035 section 2.3.4).
	maxHostname = 253
	// maxList is the longest list in a request. The largest machines have some hundreds of memory modules or disks.
	maxList = 1024

	uuidText = 36

	bytesPerGB = 1 << 30
	mbPerGB    = 1 << 10
)

// Machine is what a machine said of itself, checked and in the API's shape.
type Machine struct {
	// UUID of its SMBIOS tables in lower case. It names the machine's Server, unless others have the same.
	UUID     string
	Hostname string
	Hardware v1alpha2.HardwareInformation
}

// Parse checks a registration. What it refuses would be absurd from any machine: no UUID, texts without end.
func Parse(request *api.CreateServerRequest) (Machine, error) {
	hardware := request.GetHardware()
	if hardware.GetSystem() == nil {
		return Machine{}, errors.New("the request has no system information, so the machine has no name")
	}

	id, err := ParseUUID(hardware.GetSystem().GetUuid())
	if err != nil {
		return Machine{}, err
	}

	if err := Bound(request); err != nil {
		return Machine{}, err
	}

	if len(request.GetHostname()) > maxHostname {
		return Machine{}, fmt.Errorf("hostname is %d bytes long, at most %d are allowed", len(request.GetHostname()), maxHostname)
	}

	return Machine{
		UUID:     id,
		Hostname: clean(request.GetHostname()),
		Hardware: v1alpha2.HardwareInformation{
			System:  system(hardware.GetSystem(), id),
			Compute: compute(hardware.GetCompute()),
			Memory:  memory(hardware.GetMemory()),
			Storage: storage(hardware.GetStorage()),
			Network: network(hardware.GetNetwork()),
		},
	}, nil
}

// ParseUUID checks a machine's UUID and returns it in lower case. It may be one that stands for none.
func ParseUUID(text string) (string, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != uuidText {
		return "", fmt.Errorf("uuid %.64q is not of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", text)
	}

	return id.String(), nil
}

// Bound refuses a message with a text or a list in it, however deep, that is longer than any machine needs.
func Bound(message proto.Message) error { return bound(message.ProtoReflect()) }

func bound(message protoreflect.Message) error {
	var found error

	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.IsList():
			found = checkList(field, value.List())
		case field.Kind() == protoreflect.MessageKind:
			found = bound(value.Message())
		case field.Kind() == protoreflect.StringKind:
			found = checkText(field, value.String())
		}

		return found == nil
	})

	return found
}

func checkList(field protoreflect.FieldDescriptor, list protoreflect.List) error {
	if list.Len() > maxList {
		return fmt.Errorf("%s has %d entries, at most %d are allowed", field.Name(), list.Len(), maxList)
	}

	for i := range list.Len() {
		var err error

		switch field.Kind() {
		case protoreflect.MessageKind:
			err = bound(list.Get(i).Message())
		case protoreflect.StringKind:
			err = checkText(field, list.Get(i).String())
		default:
		}

		if err != nil {
			return err
		}
	}

	return nil
}

func checkText(field protoreflect.FieldDescriptor, text string) error {
	if len(text) > maxText {
		return fmt.Errorf("%s is %d bytes long, at most %d are allowed", field.Name(), len(text), maxText)
	}

	return nil
}

// ParseText makes a text that a machine sent fit for people.
func ParseText(text string) string { return clean(text) }

// clean drops what does not print: vendors leave control characters and padding in SMBIOS strings.
func clean(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}

		return r
	}, text))
}

func system(in *api.SystemInformation, id string) *v1alpha2.SystemInformation {
	return &v1alpha2.SystemInformation{
		UUID:         id,
		Manufacturer: clean(in.GetManufacturer()),
		ProductName:  clean(in.GetProductName()),
		Version:      clean(in.GetVersion()),
		SerialNumber: clean(in.GetSerialNumber()),
		SKUNumber:    clean(in.GetSkuNumber()),
		Family:       clean(in.GetFamily()),
	}
}

func compute(in *api.ComputeInformation) *v1alpha2.ComputeInformation {
	if in == nil {
		return nil
	}

	return &v1alpha2.ComputeInformation{
		TotalCoreCount:   int64(in.GetTotalCoreCount()),
		TotalThreadCount: int64(in.GetTotalThreadCount()),
		ProcessorCount:   length(in.GetProcessors()),
		Processors: each(in.GetProcessors(), func(p *api.Processor) *v1alpha2.Processor {
			return &v1alpha2.Processor{
				Manufacturer: clean(p.GetManufacturer()),
				ProductName:  clean(p.GetProductName()),
				SerialNumber: clean(p.GetSerialNumber()),
				Speed:        int64(p.GetSpeed()),
				CoreCount:    int64(p.GetCoreCount()),
				ThreadCount:  int64(p.GetThreadCount()),
			}
		}),
	}
}

func memory(in *api.MemoryInformation) *v1alpha2.MemoryInformation {
	if in == nil {
		return nil
	}

	return &v1alpha2.MemoryInformation{
		TotalSize:   fmt.Sprintf("%d GB", in.GetTotalSize()/mbPerGB),
		ModuleCount: length(in.GetModules()),
		Modules: each(in.GetModules(), func(m *api.MemoryModule) *v1alpha2.MemoryModule {
			return &v1alpha2.MemoryModule{
				Manufacturer: clean(m.GetManufacturer()),
				ProductName:  clean(m.GetProductName()),
				SerialNumber: clean(m.GetSerialNumber()),
				Type:         clean(m.GetType()),
				Size:         int64(m.GetSize()),
				Speed:        int64(m.GetSpeed()),
			}
		}),
	}
}

func storage(in *api.StorageInformation) *v1alpha2.StorageInformation {
	if in == nil {
		return nil
	}

	return &v1alpha2.StorageInformation{
		TotalSize:   fmt.Sprintf("%d GB", in.GetTotalSize()/bytesPerGB),
		DeviceCount: length(in.GetDevices()),
		Devices: each(in.GetDevices(), func(d *api.StorageDevice) *v1alpha2.StorageDevice {
			return &v1alpha2.StorageDevice{
				Type:       d.GetType().String(),
				Size:       int64(min(d.GetSize(), math.MaxInt64)), //nolint:gosec // bounded
				Model:      clean(d.GetModel()),
				Serial:     clean(d.GetSerial()),
				Name:       clean(d.GetName()),
				DeviceName: clean(d.GetDeviceName()),
				UUID:       clean(d.GetUuid()),
				WWID:       clean(d.GetWwid()),
			}
		}),
	}
}

func network(in *api.NetworkInformation) *v1alpha2.NetworkInformation {
	if in == nil {
		return nil
	}

	return &v1alpha2.NetworkInformation{
		InterfaceCount: length(in.GetInterfaces()),
		Interfaces: each(in.GetInterfaces(), func(n *api.NetworkInterface) *v1alpha2.NetworkInterface {
			return &v1alpha2.NetworkInterface{
				Index:     int64(n.GetIndex()),
				Name:      clean(n.GetName()),
				Flags:     clean(n.GetFlags()),
				MTU:       int64(n.GetMtu()),
				MAC:       clean(n.GetMac()),
				Addresses: prefixes(n.GetAddresses()),
			}
		}),
	}
}

// prefixes keeps those texts that are addresses with the length of their network.
func prefixes(texts []string) []string {
	var out []string

	for _, text := range texts {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			out = append(out, prefix.String())
		}
	}

	return out
}

// length is what the machine sent, whatever it says the count is: upstream trusts the count and crashes on a wrong one.
func length[T any](list []T) int64 { return int64(len(list)) }

func each[In proto.Message, Out any](list []In, convert func(In) *Out) []*Out {
	var out []*Out
	for _, item := range list {
		out = append(out, convert(item))
	}

	return out
}
