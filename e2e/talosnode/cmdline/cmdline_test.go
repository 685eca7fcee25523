package cmdline_test

import (
	"testing"

	"github.com/sidero-appliance/sidero-appliance/e2e/talosnode/cmdline"
)

func TestArguments(t *testing.T) {
	a := cmdline.Parse("initrd=initramfs.xz talos.platform=metal  siderolink.api=grpc://192.0.2.1:8081 BOOTIF=01-02 talos.events.sink=[fd00::1]:4002 talos.logging.kernel=tcp://[fd00::1]:4001")
	if got, want := a.Installed([]string{"x=1"}), "talos.platform=metal siderolink.api=grpc://192.0.2.1:8081 talos.events.sink=[fd00::1]:4002 talos.logging.kernel=tcp://[fd00::1]:4001 x=1"; got != want {
		t.Errorf("installed with %q instead of %q", got, want)
	}
	to, err := a.Endpoints()
	if err != nil || to.API.Host != "192.0.2.1:8081" || to.Events != "[fd00::1]:4002" || to.Logs[0].Host != "[fd00::1]:4001" {
		t.Errorf("reports to %+v, %v", to, err)
	}
	if to, err := cmdline.Parse("talos.platform=metal").Endpoints(); err != nil || to.API != nil || to.Events != "" || to.Logs != nil {
		t.Errorf("without any: %+v, %v", to, err)
	}
	if to, err := cmdline.Parse("siderolink.api=192.0.2.1:8081").Endpoints(); err != nil || to.API.String() != "grpc://192.0.2.1:8081" {
		t.Errorf("without a scheme: %+v, %v", to, err)
	}
	if _, err := cmdline.Parse("siderolink.api=grpc://").Endpoints(); err == nil {
		t.Error("takes what is no URL")
	}
}
