package machine_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/proto"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/api"
	"github.com/sidero-appliance/sidero-appliance/registration/machine"
)

const uuid = "4c4c4544-0042-3510-8051-b4c04f564432"

func request() *api.CreateServerRequest {
	return &api.CreateServerRequest{
		Hostname: "box-1",
		Hardware: &api.HardwareInformation{
			System:  &api.SystemInformation{Uuid: uuid},
			Storage: &api.StorageInformation{Devices: []*api.StorageDevice{{Model: "disk\x1b[31m", Size: 1 << 63}}},
			Network: &api.NetworkInformation{Interfaces: []*api.NetworkInterface{{Name: "eno1"}}},
		},
	}
}

func TestParseMends(t *testing.T) {
	m, err := machine.Parse(request())
	if err != nil {
		t.Fatal(err)
	}

	if d := m.Hardware.Storage.Devices[0]; d.Model != "disk[31m" || d.Size != 1<<63-1 || m.Hardware.Storage.DeviceCount != 1 {
		t.Errorf("disk is %+v", d)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*api.CreateServerRequest)
		want   string
	}{
		"no hardware": {func(r *api.CreateServerRequest) { r.Hardware = nil }, "no system information"},
		"no system":   {func(r *api.CreateServerRequest) { r.Hardware.System = nil }, "no system information"},
		"no uuid":     {func(r *api.CreateServerRequest) { r.Hardware.System.Uuid = "" }, "not of the form"},
		"a urn":       {func(r *api.CreateServerRequest) { r.Hardware.System.Uuid = "urn:uuid:" + uuid }, "not of the form"},
		"a path":      {func(r *api.CreateServerRequest) { r.Hardware.System.Uuid = "../../etc/passwd" }, "not of the form"},
		"a long text": {func(r *api.CreateServerRequest) { r.Hardware.System.Family = strings.Repeat("x", 513) }, "family is 513 bytes"},
		"a long deep text": {func(r *api.CreateServerRequest) {
			r.Hardware.Network.Interfaces[0].Addresses = []string{strings.Repeat("1", 600)}
		}, "addresses is 600 bytes"},
		"a long list":     {func(r *api.CreateServerRequest) { r.Hardware.Storage.Devices = make([]*api.StorageDevice, 1025) }, "devices has 1025 entries"},
		"a long hostname": {func(r *api.CreateServerRequest) { r.Hostname = strings.Repeat("h", 254) }, "hostname is 254 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := request()
			test.change(r)

			if _, err := machine.Parse(r); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestCheckBMC(t *testing.T) {
	for address, ok := range map[string]bool{
		"10.0.9.1": true, "fd00::9": true, "2001:db8::9": true, "192.0.2.9": true, "": true,
		"bmc-1.example": false, "localhost": false, "127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false, "0.0.0.0": false,
		"::": false, "169.254.1.1": false, "fe80::1": false, "224.0.0.1": false, "ff02::1": false, "255.255.255.255": false,
		"fe80::1%eno1": false, "fe80::1%\x1b[31m": false, "\x1b[31m": false, "10.0.9.1:623": false,
	} {
		if err := machine.CheckBMC(&api.BMCInfo{Ip: address}); (err == nil) != ok {
			t.Errorf("address %q: %v", address, err)
		}
	}

	if machine.CheckBMC(&api.BMCInfo{Ip: "10.0.9.1", Port: 70000}) == nil {
		t.Error("port 70000 is taken")
	}
}

// FuzzParse feeds what may come over the wire. Nothing crashes, and what is let through has a name that the API
// takes.
func FuzzParse(f *testing.F) {
	good, err := proto.Marshal(request())
	if err != nil {
		f.Fatal(err)
	}

	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte("\x0a\x26\x0a\x24" + uuid))

	f.Fuzz(func(t *testing.T, data []byte) {
		r := &api.CreateServerRequest{}
		if proto.Unmarshal(data, r) != nil {
			return
		}

		m, err := machine.Parse(r)
		if err != nil {
			return
		}

		if m.UUID != strings.ToLower(m.UUID) || len(m.UUID) != 36 || m.Hardware.System.UUID != m.UUID {
			t.Errorf("%q for uuid %q", m.UUID, r.GetHardware().GetSystem().GetUuid())
		}

		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}

		var stored any
		if err := json.Unmarshal(text, &stored); err != nil {
			t.Fatal(err)
		}

		if bad, found := unprintable(stored); found {
			t.Errorf("%q is stored, which does not print", bad)
		}
	})
}

// unprintable finds a text in a JSON value that does not print.
func unprintable(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsPrint(r) })
	case map[string]any:
		return unprintable(slices.Collect(maps.Values(v)))
	case []any:
		for _, item := range v {
			if bad, found := unprintable(item); found {
				return bad, true
			}
		}
	}

	return "", false
}

// FuzzParseAddresses feeds one address of any type.
func FuzzParseAddresses(f *testing.F) {
	f.Add("InternalIP", "10.0.0.1")
	f.Add("InternalIP", "fe80::1%\x1b[31m")
	f.Add("Hostname", "box-1.example")
	f.Add("Hostname", "a\nb")

	f.Fuzz(func(t *testing.T, kind, address string) {
		parsed, err := machine.ParseAddresses([]*api.Address{{Type: kind, Address: address}})
		if err != nil {
			return
		}

		for _, r := range parsed[0].Address {
			if !unicode.IsPrint(r) || r == '%' {
				t.Errorf("address %q got through", address)
			}
		}
	})
}
