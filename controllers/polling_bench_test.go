package controllers_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/power/ipmi/simulator"
)

const (
	bmcs = 500
	// hanging ones answer nothing.
	hanging = 50
	// benchPoll is how often they are polled, and polls how often all are before it is over.
	benchPoll = 10 * time.Second
	polls     = 6
)

// BenchmarkPowerPolling polls BMCs of which some hang, and measures by the BMCs' own logs how long a healthy one is left
// alone at most: in intervals, of which 1 is on time. It fails when one is late by more than an interval.
func BenchmarkPowerPolling(b *testing.B) {
	for b.Loop() {
		p := startPool(b, benchPoll)

		var healthy []*simulator.Server

		for n := range bmcs {
			lies := simulator.Lies{Silent: n%(bmcs/hanging) == 0}

			bmc, err := simulator.Start(simulator.Config{On: true, Lies: lies})
			must(b, err)
			b.Cleanup(func() { _ = bmc.Close() })

			if !lies.Silent {
				healthy = append(healthy, bmc)
			}

			must(b, p.Create(b.Context(), &v1alpha2.Server{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("polled-%03d", n)},
				Spec: v1alpha2.ServerSpec{BMC: &v1alpha2.BMC{
					Endpoint: "127.0.0.1", Port: int64(bmc.Port()), User: "admin", Pass: "password",
				}},
			}))
		}

		begin := time.Now()
		<-time.After(polls * benchPoll)

		worst := slices.MaxFunc(healthy, func(x, y *simulator.Server) int { return int(alone(x, begin) - alone(y, begin)) })
		intervals := alone(worst, begin).Seconds() / benchPoll.Seconds()

		b.ReportMetric(intervals, "intervals")
		b.ReportMetric(0, "ns/op")

		if intervals > 2 {
			b.Errorf("a healthy BMC was not asked for %s", alone(worst, begin))
		}
	}
}

// alone is the longest time since begin for which a BMC was asked nothing.
func alone(bmc *simulator.Server, begin time.Time) time.Duration {
	var longest time.Duration

	last := begin

	for _, entry := range bmc.Log() {
		if entry.Command == "Get Chassis Status" && entry.At.After(begin) {
			longest = max(longest, entry.At.Sub(last))
			last = entry.At
		}
	}

	return max(longest, time.Since(last))
}
