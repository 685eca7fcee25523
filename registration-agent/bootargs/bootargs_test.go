package bootargs

import (
	"net"
	"strings"
	"testing"
)

const mac = "52:54:00:12:34:56"

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		cmdline  string
		mac      string
		endpoint string
		err      string
	}{
		"as Sidero sends it": {
			cmdline:  "init_on_alloc=1 slab_nomerge console=tty0 console=ttyS0 initrd=initramfs.xz panic=30 sidero.mac=52:54:00:12:34:56 sidero.endpoint=172.30.0.1:8081\n",
			mac:      mac,
			endpoint: "172.30.0.1:8081",
		},
		"dashes in the address":     {cmdline: "sidero.mac=52-54-00-12-34-56 sidero.endpoint=h:1", mac: mac, endpoint: "h:1"},
		"BOOTIF of PXELINUX":        {cmdline: "BOOTIF=01-52-54-00-12-34-56 sidero.endpoint=h:1", mac: mac, endpoint: "h:1"},
		"BOOTIF without a type":     {cmdline: "BOOTIF=52:54:00:12:34:56 sidero.endpoint=h:1", mac: mac, endpoint: "h:1"},
		"sidero.mac before BOOTIF":  {cmdline: "BOOTIF=01-00-00-00-00-00-01 sidero.mac=52:54:00:12:34:56 sidero.endpoint=h:1", mac: mac, endpoint: "h:1"},
		"IPv6 without brackets":     {cmdline: "sidero.mac=52:54:00:12:34:56 sidero.endpoint=fd30::1:8081", mac: mac, endpoint: "[fd30::1]:8081"},
		"IPv6 in brackets":          {cmdline: "sidero.mac=52:54:00:12:34:56 sidero.endpoint=[fd30::1]:8081", mac: mac, endpoint: "[fd30::1]:8081"},
		"a name":                    {cmdline: "sidero.mac=52:54:00:12:34:56 sidero.endpoint=metal.example.org:8081", mac: mac, endpoint: "metal.example.org:8081"},
		"the last one counts":       {cmdline: "sidero.endpoint=a:1 sidero.mac=52:54:00:12:34:56 sidero.endpoint=b:2", mac: mac, endpoint: "b:2"},
		"quoted":                    {cmdline: `x="a sidero.endpoint=wrong:1" sidero.mac="52:54:00:12:34:56" sidero.endpoint=b:2`, mac: mac, endpoint: "b:2"},
		"nothing":                   {cmdline: "", err: "neither sidero.mac nor BOOTIF"},
		"both missing are reported": {cmdline: "quiet", err: "sidero.endpoint is missing"},
		"not a MAC":                 {cmdline: "sidero.mac=hello sidero.endpoint=h:1", err: `"hello" is not an Ethernet address`},
		"InfiniBand address":        {cmdline: "sidero.mac=00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01 sidero.endpoint=h:1", err: "not an Ethernet address"},
		"no port":                   {cmdline: "sidero.mac=52:54:00:12:34:56 sidero.endpoint=host", err: "has no port"},
		"port 0":                    {cmdline: "sidero.mac=52:54:00:12:34:56 sidero.endpoint=host:0", err: "no valid port"},
		"a URL":                     {cmdline: "sidero.mac=52:54:00:12:34:56 sidero.endpoint=http://host:80", err: "no valid host"},
		"no host":                   {cmdline: "sidero.mac=52:54:00:12:34:56 sidero.endpoint=:80", err: "no valid host"},
	} {
		t.Run(name, func(t *testing.T) {
			args, err := Parse(test.cmdline)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if args.MAC.String() != test.mac || args.Endpoint != test.endpoint {
				t.Errorf("got %s and %s, want %s and %s", args.MAC, args.Endpoint, test.mac, test.endpoint)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("sidero.mac=52:54:00:12:34:56 sidero.endpoint=fd30::1:8081")
	f.Add(`BOOTIF=01-52-54-00-12-34-56 sidero.endpoint="[fd30::1]:8081"`)
	f.Add(`sidero.mac=" sidero.endpoint=:`)
	f.Fuzz(func(t *testing.T, cmdline string) {
		args, err := Parse(cmdline)
		if err != nil {
			return
		}
		if len(args.MAC) != 6 {
			t.Errorf("accepted the address %q", args.MAC)
		}
		if host, port, err := net.SplitHostPort(args.Endpoint); err != nil || host == "" || port == "" {
			t.Errorf("accepted the endpoint %q", args.Endpoint)
		}
	})
}
