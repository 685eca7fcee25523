package specimen_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/registration-agent/disk/specimen"
)

// TestSpecimens holds each image against blkid, alone and as a partition.
func TestSpecimens(t *testing.T) {
	for _, s := range specimen.All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			image := s.Make(t)
			if found := specimen.Probe(t, image, 0, specimen.Size); !strings.Contains(found, `TYPE="`+s.Type+`"`) {
				t.Fatalf("blkid finds %q, not %s", found, s.Type)
			}
			for kind, make := range map[string]func(*testing.T, string, string) (int64, int64){"gpt": specimen.GPT, "dos": specimen.MBR} {
				disk := filepath.Join(t.TempDir(), kind)
				offset, length := make(t, disk, image)
				if found := specimen.Probe(t, disk, 0, length+64<<20); !strings.Contains(found, `PTTYPE="`+kind+`"`) {
					t.Errorf("blkid finds %q, not %s", found, kind)
				}
				if found := specimen.Probe(t, disk, offset, length); !strings.Contains(found, `TYPE="`+s.Type+`"`) {
					t.Errorf("blkid finds %q in the partition, not %s", found, s.Type)
				}
			}
		})
	}
}
