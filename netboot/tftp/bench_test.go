package tftp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkTransfer loads one file from this server and from dnsmasq, in turns
// and with the same client, and reports our throughput as a multiple of
// dnsmasq's:
//
//	go test -run=- -bench=Transfer ./netboot/tftp
//
// dnsmasq 2.90 has no windows; a client that asks for one gets lock step there.
func BenchmarkTransfer(b *testing.B) {
	content := program(16 << 20)
	root := b.TempDir()
	if err := os.WriteFile(filepath.Join(root, "file"), content, 0o644); err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		b.Fatal(err)
	}
	server := startAlone(b, content)
	peer := startDnsmasq(b, root)
	for _, kind := range []struct{ blockSize, window int }{{512, 1}, {1468, 1}, {1468, 4}, {1468, 16}} {
		b.Run(fmt.Sprintf("blksize=%d/window=%d", kind.blockSize, kind.window), func(b *testing.B) {
			load := func(from netip.AddrPort) time.Duration {
				client := newClient(b, from)
				defer client.conn.Close()
				began := time.Now()
				if got := client.fetch("file", kind.blockSize, kind.window); !bytes.Equal(got, content) {
					b.Fatalf("%s sent %d bytes of %d", from, len(got), len(content))
				}
				return time.Since(began)
			}
			load(server) // warm up
			load(peer)
			b.ResetTimer()
			var ours, theirs time.Duration
			for range b.N {
				ours += load(server)
				theirs += load(peer)
			}
			b.SetBytes(2 * int64(len(content)))
			b.ReportMetric(float64(theirs)/float64(ours), "x-dnsmasq")
			b.ReportMetric(float64(b.N*len(content))/ours.Seconds()/(1<<20), "MiB/s")
		})
	}
}

const aloneVariable = "TFTP_BENCH_SERVER"

// startAlone runs a server in a process of its own, as dnsmasq is: with the
// client in one process it would wait for Go's scheduler more than for packets.
func startAlone(b *testing.B, content []byte) netip.AddrPort {
	b.Helper()
	if os.Getenv(aloneVariable) != "" {
		a := start(b, Map{"file": content}, nil)
		fmt.Println(a.at)
		io.Copy(io.Discard, os.Stdin) // until the parent goes
		os.Exit(0)
	}
	child := exec.Command(os.Args[0], "-test.run=-", "-test.bench=^"+b.Name()+"$", "-test.benchtime=1x")
	child.Env = append(os.Environ(), aloneVariable+"=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stdin.Close(); io.Copy(io.Discard, stdout); child.Wait() })
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if at, err := netip.ParseAddrPort(lines.Text()); err == nil {
			return at
		}
	}
	b.Fatal("the server did not start")
	return netip.AddrPort{}
}

// startDnsmasq serves a folder over TFTP on a loopback address of its own,
// since its port cannot be chosen.
func startDnsmasq(b *testing.B, root string) netip.AddrPort {
	b.Helper()
	at := netip.MustParseAddrPort("127.0.0.69:69")
	dnsmasq := exec.Command("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file=",
		"--user=root", "--bind-interfaces", "--listen-address="+at.Addr().String(), "--enable-tftp", "--tftp-root="+root)
	if err := dnsmasq.Start(); err != nil {
		b.Fatalf("%v: install Debian's dnsmasq-base", err)
	}
	b.Cleanup(func() { dnsmasq.Process.Kill(); dnsmasq.Wait() })
	probe, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		b.Fatal(err)
	}
	defer probe.Close()
	buffer := make([]byte, 600)
	for range 100 {
		probe.WriteToUDPAddrPort([]byte("\x00\x01missing\x00octet\x00"), at)
		probe.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := probe.Read(buffer); err == nil {
			return at
		}
	}
	b.Fatal("dnsmasq does not answer")
	return at
}
