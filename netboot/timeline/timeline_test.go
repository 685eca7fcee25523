package timeline

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
)

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// sighting reads one from a text: the second, the step and a detail.
func sighting(t *testing.T, text string) Sighting {
	t.Helper()

	var s Sighting

	words := strings.Fields(text)

	after, err := time.ParseDuration(words[0])
	if err != nil {
		t.Fatal(err)
	}

	s.Time, s.Step = noon().Add(after), words[1]
	if len(words) > 2 {
		s.Detail = words[2]
	}

	return s
}

// short writes boots as the tests have them.
func short(boots []v1alpha2.Boot) []string {
	var all []string

	for _, boot := range boots {
		words := []string{boot.StartedAt.Sub(noon()).String() + ":"}

		for _, step := range boot.Steps {
			word := step.Step + step.Detail
			if step.Repeated > 0 {
				word += fmt.Sprintf("+%d", step.Repeated)
			}

			words = append(words, word)
		}

		all = append(all, strings.Join(words, " "))
	}

	return all
}

func TestAdd(t *testing.T) {
	for name, c := range map[string]struct {
		seen []string
		want []string
	}{
		"nothing": {},
		"BIOS": {
			seen: []string{"0s dhcp", "1s tftp undionly.kpxe", "3s ipxe", "3s ipxe agent", "4s kernel", "9s agent", "10s wipe", "15s clean"},
			want: []string{"0s: dhcp tftpundionly.kpxe ipxe ipxeagent kernel agent wipe clean"},
		},
		"firmware that gets nowhere": {
			seen: []string{"0s dhcp", "4s dhcp", "8s dhcp"},
			want: []string{"0s: dhcp+2"},
		},
		"and tries later": {
			seen: []string{"0s dhcp", "4s dhcp", "11m dhcp"},
			want: []string{"11m0s: dhcp", "0s: dhcp+1"},
		},
		"started again": {
			seen: []string{"0s dhcp", "1s http", "3s ipxe", "60s dhcp", "61s http"},
			want: []string{"1m0s: dhcp http", "0s: dhcp http ipxe"},
		},
		"an old iPXE loads a newer one": {
			seen: []string{"0s ipxe", "1s ipxe old", "2s http snp.efi", "4s ipxe", "5s ipxe agent", "6s kernel", "9s agent"},
			want: []string{"0s: ipxe+1 ipxeold httpsnp.efi ipxeagent kernel agent"},
		},
		"started again where no DHCP is seen": {
			seen: []string{"0s ipxe", "30s tftp", "32s ipxe"},
			want: []string{"30s: tftp ipxe", "0s: ipxe"},
		},
		"iPXE asks again": {
			seen: []string{"0s dhcp", "3s ipxe", "4s kernel", "9s ipxe", "10s kernel"},
			want: []string{"0s: dhcp ipxe+1 kernel+1"},
		},
		"iPXE after its agent, without its firmware": {
			seen: []string{"0s ipxe", "1s kernel", "9s agent", "30s ipxe"},
			want: []string{"30s: ipxe", "0s: ipxe kernel agent"},
		},
		"an agent that stays": {
			seen: []string{"0s dhcp", "9s agent", "5h agent", "24h wipe", "25h clean"},
			want: []string{"0s: dhcp agent+1 wipe clean"},
		},
		"told late": {
			seen: []string{"0s dhcp", "3s ipxe", "1s tftp"},
			want: []string{"0s: dhcp tftp ipxe"},
		},
		"three are kept": {
			seen: []string{"0s ipxe", "1m dhcp", "2m ipxe", "3m dhcp", "4m ipxe", "5m dhcp"},
			want: []string{"5m0s: dhcp", "3m0s: dhcp ipxe", "1m0s: dhcp ipxe"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				atOnce []Sighting
				one    []v1alpha2.Boot
			)

			for _, text := range c.seen {
				s := sighting(t, text)
				atOnce, one = append(atOnce, s), Add(one, s)
			}

			if diff := cmp.Diff(c.want, short(one)); diff != "" {
				t.Error(diff)
			}

			if diff := cmp.Diff(c.want, short(Add(nil, atOnce...))); diff != "" {
				t.Error("at once:", diff)
			}
		})
	}
}

func TestAddKeepsWhatItIsGiven(t *testing.T) {
	known := Add(nil, sighting(t, "0s dhcp"))
	Add(known, sighting(t, "1s dhcp"), sighting(t, "2s tftp"))

	if diff := cmp.Diff([]string{"0s: dhcp"}, short(known)); diff != "" {
		t.Error(diff)
	}
}

func TestBounds(t *testing.T) {
	var all []v1alpha2.Boot
	for i := range 100 {
		all = Add(all, Sighting{Step: TFTP, Detail: fmt.Sprint(i), Time: noon()})
	}

	if len(all) != 1 || len(all[0].Steps) != steps {
		t.Errorf("%d boots, the first of %d steps", len(all), len(all[0].Steps))
	}
}

// TestDocs holds the table of steps to the code.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/servers.md")
	if err != nil {
		t.Fatal(err)
	}

	_, rest, _ := strings.Cut(string(text), "| step |")
	table, _, _ := strings.Cut(rest, "\n\n")

	var told []string

	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(row[1], -1) {
			told = append(told, name[1])
		}
	}

	if diff := cmp.Diff(Steps(), told); diff != "" {
		t.Error(diff)
	}

	for _, step := range Steps() {
		if stage(step) < 0 {
			t.Errorf("%s has no stage", step)
		}
	}
}
