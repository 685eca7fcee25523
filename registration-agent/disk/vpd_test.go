package disk

import "testing"

func TestSerialOfPage(t *testing.T) {
	for page, want := range map[string]string{
		"\x00\x80\x00\x08  ABC   ": "ABC",
		"\x00\x80\x00\x04ABCDEFGH": "ABCD",
		"\x00\x80\x00\xffshort":    "short",
		"\x00\x83\x00\x04ABCD":     "",
		"\x00\x80":                 "",
		"\x00\x80\x00\x02\xff\xfe": "",
		"":                         "",
	} {
		if got := serialOfPage([]byte(page)); got != want {
			t.Errorf("%q: got %q, want %q", page, got, want)
		}
	}
}
