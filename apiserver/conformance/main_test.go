package conformance_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
)

// atOnce is how many cases run at a time. They wait more than they compute.
const atOnce = "24"

// libraries holds what Kubernetes's libraries log while the tests run. Only TestMain sets it.
var libraries *apitest.Log

func TestMain(m *testing.M) {
	libraries = apitest.CaptureLog()

	flag.Parse()

	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}

	os.Exit(m.Run())
}

// row is a case of the table.
type row struct {
	name string
	// takes tells which subjects the case is for: all, if it is nil.
	takes func(subject) bool
	test  func(*testing.T, api)
}

// TestConformance runs the table for every subject on one control plane.
func TestConformance(t *testing.T) {
	p := start(t)
	subjects := slices.Concat(natives(), p.define(t))

	p.collect(t)
	p.compact(t)

	for i, r := range table() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()

			for j, s := range subjects {
				if r.takes != nil && !r.takes(s) {
					continue
				}

				t.Run(s.name(), func(t *testing.T) {
					t.Parallel()
					r.test(t, p.api(t, s, fmt.Sprintf("c%d-%d", i, j)))
				})
			}
		})
	}

	t.Cleanup(func() {
		// About what is refused Kubernetes complains to itself.
		lines := slices.DeleteFunc(libraries.Since(0, "SHOULD NOT HAPPEN", "panic"), func(line string) bool {
			return strings.Contains(line, "duplicate entries for key") || slices.ContainsFunc(customs(), func(s subject) bool { return strings.Contains(line, s.GroupVersion().String()) })
		})
		if len(lines) != 0 {
			t.Errorf("logged:\n%s", strings.Join(lines, "\n"))
		}
	})
}

// table is all cases.
func table() []row {
	return slices.Concat(verbs(), identities(), lists(), watches(), applies(), patches(), validations(), subresources(), deletions(), access(), tokens(), webhooks(), policies(), forms(), surroundings())
}
