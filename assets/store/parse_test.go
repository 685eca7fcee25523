package store

import (
	"encoding/json"
	"strings"
	"testing"
)

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(`{"url":"http://a/","sha512":"` + strings.Repeat("ab", 64) + `","size":5,"version":"\"x\""}`))
	f.Add([]byte(`{"url":"","sha512":"../../x","size":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		read, err := parseEntry(text)
		if err != nil {
			return
		}
		if read.URL == "" || !validDigest(read.SHA512) || read.Size <= 0 {
			t.Fatalf("took %q for %+v", text, read)
		}
		written, err := json.Marshal(read)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseEntry(written); err != nil || again != read {
			t.Fatalf("%+v came back as %+v: %v", read, again, err)
		}
	})
}

func FuzzParseProgress(f *testing.F) {
	const url = "http://a/"
	f.Add([]byte(`{"url":"http://a/","source":{"version":"\"x\"","size":9},"safe":5}`))
	f.Add([]byte(`{"url":"http://a/","source":{"size":-9},"safe":5}`))
	f.Add([]byte(`{"url":"http://b/"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		read, err := parseProgress(text, url)
		if err != nil {
			return
		}
		if read.URL != url || read.Safe < 0 || read.Source.Size != 0 && read.Safe > read.Source.Size {
			t.Fatalf("took %q for %+v", text, read)
		}
	})
}
