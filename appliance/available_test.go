package appliance

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAvailable(t *testing.T) {
	const memory = "MemTotal:       2000000 kB\nMemAvailable:    1000000 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  uint64
	}{
		"no limit": {map[string]string{"proc/meminfo": memory, "proc/self/cgroup": "0::/\n"}, 1000000 << 10},
		"limit of the service": {map[string]string{
			"proc/meminfo": memory, "proc/self/cgroup": "1:name=systemd:/x\n0::/system.slice/a.service\n",
			"sys/fs/cgroup/system.slice/a.service/memory.max":     "700000000\n",
			"sys/fs/cgroup/system.slice/a.service/memory.high":    "max\n",
			"sys/fs/cgroup/system.slice/a.service/memory.current": "200000000\n",
		}, 500000000},
		"limit of what it is in": {map[string]string{
			"proc/meminfo": memory, "proc/self/cgroup": "0::/system.slice/a.service\n",
			"sys/fs/cgroup/system.slice/a.service/memory.max":     "max\n",
			"sys/fs/cgroup/system.slice/a.service/memory.current": "200000000\n",
			"sys/fs/cgroup/system.slice/memory.high":              "400000000\n",
			"sys/fs/cgroup/system.slice/memory.current":           "390000000\n",
		}, 10000000},
		"files can go": {map[string]string{
			"proc/meminfo": memory, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "300000000\n", "sys/fs/cgroup/memory.current": "299000000\n",
			"sys/fs/cgroup/memory.stat": "anon 200000000\ninactive_file 99000000\nactive_file 1\n",
		}, 100000000},
		"over the limit": {map[string]string{
			"proc/meminfo": memory, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "100\n", "sys/fs/cgroup/memory.current": "200\n",
		}, 0},
		"limit of a container by control groups of version 1": {map[string]string{
			"proc/meminfo": memory, "proc/self/cgroup": "4:cpu,memory:/docker/1\n1:cpuset:/\n0::/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "300000000\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "100000000\n",
		}, 200000000},
		"a path that leads out":     {map[string]string{"proc/meminfo": memory, "proc/self/cgroup": "0::/../../x\n"}, 1000000 << 10},
		"not in the kernel's words": {map[string]string{"proc/meminfo": "MemAvailable: much kB\n", "proc/self/cgroup": "0::/\n"}, 0},
		"nothing to read":           {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range c.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := available(root); got != c.want {
				t.Errorf("%d, not %d", got, c.want)
			}
		})
	}
}
