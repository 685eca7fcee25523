package tftp

import (
	"bytes"
	"testing"

	pin "github.com/pin/tftp/v3"
)

// TestPinsClient reads with the client of the Go library that is most in use, with and without options, and is refused
// when it writes.
func TestPinsClient(t *testing.T) {
	content := bytes.Repeat([]byte("boot"), 100_000)
	server := start(t, Map{"snp.efi": content}, nil)

	for name, configure := range map[string]func(*pin.Client){
		"plain":            func(*pin.Client) {},
		"block size":       func(c *pin.Client) { c.SetBlockSize(1468) },
		"size":             func(c *pin.Client) { c.RequestTSize(true) },
		"odd size of 1025": func(c *pin.Client) { c.SetBlockSize(1025) },
	} {
		t.Run(name, func(t *testing.T) {
			client, err := pin.NewClient(server.at.String())
			if err != nil {
				t.Fatal(err)
			}

			configure(client)

			transfer, err := client.Receive("snp.efi", "octet")
			if err != nil {
				t.Fatal(err)
			}

			var got bytes.Buffer
			if _, err := transfer.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("got %d bytes, %v, want %d", got.Len(), err, len(content))
			}
		})
	}

	client, err := pin.NewClient(server.at.String())
	if err != nil {
		t.Fatal(err)
	}

	if _, err := client.Send("snp.efi", "octet"); err == nil {
		t.Error("writing was not refused")
	}
}
