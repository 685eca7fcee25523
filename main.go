// Command sidero-appliance is a bare-metal management plane in one binary.
// Everything it does is put together in package appliance.
package main

import (
	"os"

	"github.com/sidero-appliance/sidero-appliance/appliance"
)

func main() {
	os.Exit(appliance.Main(os.Args[1:], os.Stdout, os.Stderr))
}
