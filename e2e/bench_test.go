//go:build e2e

package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/e2e/installation"
	"github.com/sidero-appliance/sidero-appliance/e2e/lab"
)

const (
	benchmarkLimit = 5 * time.Minute
	// starts is how many starts a median is of.
	starts = 5
	// idle is how long the appliance has nothing to do before its memory is measured.
	idle = time.Minute
)

// BenchmarkStart measures from exec to the first good answer of /readyz, the median of some starts in milliseconds.
func BenchmarkStart(b *testing.B) {
	for _, data := range []string{"empty", "existing"} {
		b.Run(data+" data", func(b *testing.B) {
			ctx, i := start(b, benchmarkLimit)

			for b.Loop() {
				var times []time.Duration

				for range starts {
					if err := i.Process.Stop(); err != nil {
						b.Fatal(err)
					}

					if data == "empty" {
						if err := os.RemoveAll(i.DataDir); err != nil {
							b.Fatal(err)
						}
					}

					times = append(times, timeStart(ctx, b, i))
				}

				slices.Sort(times)
				b.Logf("load %s: %v", loadAverage(b), times)
				b.ReportMetric(float64(times[len(times)/2].Milliseconds()), "ms")
			}

			b.ReportMetric(0, "ns/op")
		})
	}
}

func timeStart(ctx context.Context, b *testing.B, i *installation.Installation) time.Duration {
	b.Helper()

	web := &http.Client{Transport: &http.Transport{DialContext: i.Lab.Dial, DisableKeepAlives: true}}
	begin := time.Now()

	if err := i.Launch(); err != nil {
		b.Fatal(err)
	}

	for tick := time.NewTicker(5 * time.Millisecond); ; {
		response, err := web.Get("http://127.0.0.1:8082/readyz")
		if err == nil {
			response.Body.Close()
		}

		if err == nil && response.StatusCode == http.StatusOK {
			tick.Stop()

			return time.Since(begin)
		}

		select {
		case <-tick.C:
		case <-i.Process.Done():
			b.Fatal("the appliance ended")
		case <-ctx.Done():
			b.Fatal(ctx.Err())
		}
	}
}

// BenchmarkIdle measures memory in MiB after a minute with nothing to do, what the process took of all processors in that
// minute, and its garbage collector since the start, in percent. Go's runtime counts the collector's time at the end of
// each collection, and an idle process may have none in a minute.
func BenchmarkIdle(b *testing.B) {
	ctx, i := start(b, benchmarkLimit)

	for b.Loop() {
		before := metrics(ctx, b, i)

		<-time.After(idle)

		after := metrics(ctx, b, i)
		now := float64(time.Now().UnixMilli()) / 1e3

		b.Logf("load %s, GC %.3f s and process %.3f s of processor time since the start", loadAverage(b), after[gcSeconds], after[cpuSeconds])
		b.ReportMetric(100*(after[cpuSeconds]-before[cpuSeconds])/idle.Seconds()/processors(b), "cpu-%")
		b.ReportMetric(100*after[gcSeconds]/(now-after[startTime])/processors(b), "gc-%")
		b.ReportMetric(memory(b, i.Process, "VmRSS"), "rss-MiB")
		b.ReportMetric(memory(b, i.Process, "RssAnon"), "anonymous-MiB")
	}

	b.ReportMetric(0, "ns/op")
}

// Metrics of Prometheus's Go client.
const (
	gcSeconds  = "go_cpu_classes_gc_total_cpu_seconds_total"
	cpuSeconds = "process_cpu_seconds_total"
	startTime  = "process_start_time_seconds"
)

func metrics(ctx context.Context, b *testing.B, i *installation.Installation) map[string]float64 {
	b.Helper()

	_, text := get(ctx, b, i, "http://127.0.0.1:8082/metrics")
	values := map[string]float64{}

	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == gcSeconds || name == cpuSeconds || name == startTime {
			number, err := strconv.ParseFloat(value, 64)
			values[name] = must(b, number, err)
		}
	}

	if len(values) != 3 {
		b.Fatalf("of the metrics that are needed there are only %v", values)
	}

	return values
}

func processors(b *testing.B) float64 {
	b.Helper()

	return float64(strings.Count(read(b, "/proc/cpuinfo"), "processor\t:"))
}

// memory is a value of /proc/PID/status in MiB, see proc_pid_status(5).
func memory(b *testing.B, process *lab.Process, key string) float64 {
	b.Helper()

	for line := range strings.Lines(read(b, fmt.Sprintf("/proc/%d/status", process.Pid))) {
		if fields := strings.Fields(line); fields[0] == key+":" {
			kib, err := strconv.Atoi(fields[1])

			return float64(must(b, kib, err)) / 1024
		}
	}

	b.Fatalf("the kernel does not tell %s", key)

	return 0
}

func loadAverage(b *testing.B) string {
	b.Helper()

	return strings.Join(strings.Fields(read(b, "/proc/loadavg"))[:1], " ")
}

// BenchmarkBoot measures the way of each firmware from power-on to the Server object, and each stage of it, in seconds.
func BenchmarkBoot(b *testing.B) {
	for _, machine := range lab.Presets() {
		b.Run(machine.Name, func(b *testing.B) {
			ctx, i := start(b, benchmarkLimit)

			for b.Loop() {
				vm, err := i.Lab.PowerOn(ctx, machine)
				vm = must(b, vm, err)
				on := time.Now().Add(-vm.Elapsed())

				if _, err := vm.WaitConsole(ctx, "sidero-agent: registered"); err != nil {
					b.Fatal(err)
				}

				b.Logf("load %s", loadAverage(b))

				last := time.Duration(0)
				for n, stage := range stages(ctx, b, i, vm, on) {
					b.ReportMetric((stage.until - last).Seconds(), fmt.Sprintf("%d-%s-s", n+1, stage.name))
					last = stage.until
				}

				b.ReportMetric(last.Seconds(), "total-s")

				if err := vm.PowerOff(); err != nil {
					b.Fatal(err)
				}
			}

			b.ReportMetric(0, "ns/op")
		})
	}
}

// stage is a part of a boot, with its end since power-on.
type stage struct {
	name  string
	until time.Duration
}

// stages takes a boot apart, by the appliance's log and by the machine's console.
func stages(ctx context.Context, b *testing.B, i *installation.Installation, vm *lab.VM, on time.Time) []stage {
	b.Helper()

	server := vm.UUID.String()
	logged := func(message string, match func(installation.Entry) bool) time.Duration {
		for _, e := range i.Entries() {
			if e.Is(message) && e.Time.After(on) && match(e) {
				return e.Time.Sub(on)
			}
		}

		b.Fatalf("%q is not in the log", message)

		return 0
	}
	console := func(pattern string) time.Duration {
		line, err := vm.WaitConsole(ctx, pattern)

		return must(b, line, err).At
	}

	return []stage{
		{"firmware", logged("answered network boot", func(e installation.Entry) bool { return e.Fields["mac"] == vm.MAC.String() })},
		{"script", logged("http request served", func(e installation.Entry) bool { return e.Fields["server"] == server })},
		{"download", logged("http request served", func(e installation.Entry) bool { return strings.HasSuffix(e.Fields["path"], "/initramfs.xz") })},
		{"unpack", console("Linux version")},
		{"kernel", console("sidero-agent: started")},
		{"network", console("sidero-agent: network up")},
		{"register", logged("machine registered", func(e installation.Entry) bool { return e.Fields["server"] == server })},
	}
}
