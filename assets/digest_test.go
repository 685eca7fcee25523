package assets_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/assets"
)

func TestSHA512(t *testing.T) {
	// FIPS 180-4's example "abc".
	const want = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
	if got, err := assets.SHA512(t.Context(), strings.NewReader("abc")); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := assets.SHA512(ctx, strings.NewReader("abc")); !errors.Is(err, context.Canceled) {
		t.Errorf("after its end: %v", err)
	}
}
