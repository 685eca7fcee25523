package apiserver_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
)

// libraries holds what Kubernetes's libraries log while the tests run. Only TestMain sets it.
var libraries *apitest.Log

func TestMain(m *testing.M) {
	libraries = apitest.CaptureLog()

	if dir := os.Getenv(planeDirectory); dir != "" {
		if err := servePlane(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}

		return
	}

	os.Exit(m.Run())
}
