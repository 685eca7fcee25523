package boottoken_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sidero-appliance/sidero-appliance/boottoken"
)

// key is always the same, so that tokens can be compared with what they were.
func key(t testing.TB, fill byte) boottoken.Key {
	t.Helper()

	k, err := boottoken.ReadKey(bytes.Repeat([]byte{fill}, boottoken.KeySize))
	if err != nil {
		t.Fatal(err)
	}

	return k
}

// TestTokensStay holds what is in the kernel arguments of installed machines: an update must not make them void.
func TestTokensStay(t *testing.T) {
	if got, want := key(t, 7).Mint("a-uid", 3).Text(), "3-knb7yiywuehemql4m4usxxje2i"; got != want {
		t.Errorf("token is %s, was %s", got, want)
	}
}

// TestCheck takes a token for what it was made for, and for nothing else.
func TestCheck(t *testing.T) {
	mine, other := key(t, 1), key(t, 2)

	for _, generation := range []int64{0, 1, 7, math.MaxInt64} {
		text := mine.Mint("binding", generation).Text()
		if len(text) > boottoken.MaxLength || !regexp.MustCompile(`^[0-9]+-[a-z2-7]+$`).MatchString(text) || url.QueryEscape(text) != text {
			t.Errorf("%d: token %q", generation, text)
		}

		for name, test := range map[string]struct {
			key           boottoken.Key
			text, binding string
			genuine       bool
		}{
			"its own":            {mine, text, "binding", true},
			"of another binding": {mine, text, "binding2", false},
			"of another key":     {other, text, "binding", false},
			"generation changed": {mine, "5" + text[strings.Index(text, "-"):], "binding", false},
		} {
			got, genuine, err := test.key.Check(test.text, test.binding)
			if err != nil || genuine != test.genuine {
				t.Errorf("%d, %s: genuine %t, %v", generation, name, genuine, err)
			}

			if genuine && got != generation {
				t.Errorf("%d, %s: generation %d", generation, name, got)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	good := key(t, 1).Mint("binding", 1).Text()

	for _, text := range []string{
		"", "-", "1", "1-", good[1:], good + "a", good[:len(good)-1], strings.ToUpper(good), " " + good, good + "\n", "0" + good, "+" + good, "-" + good,
		strings.Replace(good, "-", "--", 1), "99999999999999999999" + good[1:], good + strings.Repeat("a", 1000), "1-" + strings.Repeat("1", 26),
	} {
		if _, genuine, err := key(t, 1).Check(text, "binding"); genuine || !errors.Is(err, boottoken.ErrMalformed) {
			t.Errorf("%q: genuine %t, %v", text, genuine, err)
		}
	}
}

func TestReadKey(t *testing.T) {
	k := boottoken.NewKey()

	again, err := boottoken.ReadKey(k.Bytes())
	if err != nil || again != k {
		t.Errorf("read another key: %v", err)
	}

	if k == boottoken.NewKey() {
		t.Error("two new keys are the same")
	}

	for _, size := range []int{0, 31, 33} {
		if _, err := boottoken.ReadKey(make([]byte, size)); err == nil {
			t.Errorf("a key of %d bytes is taken", size)
		}
	}
}

// TestNoTokenInLogs writes keys and tokens in every way that a log or an error is written.
func TestNoTokenInLogs(t *testing.T) {
	k := key(t, 9)
	token := k.Mint("binding", 1)

	var log bytes.Buffer

	for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(handler).Info("m", "token", token, "key", k, "both", struct {
			T boottoken.Token
			K boottoken.Key
		}{token, k}, "address", boottoken.Redact("http://h/configdata?uuid=&token="+token.Text()))
	}

	fmt.Fprintf(&log, "%v %+v %#v %s %v %+v %#v", token, token, token, token, k, k, k)

	if strings.Contains(log.String(), token.Text()) || strings.Contains(log.String(), "9 9 9") || strings.Contains(log.String(), "CQkJ") {
		t.Errorf("a secret is in %s", log.String())
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"/configdata?uuid=a&token=1-abc":             "/configdata?uuid=a&token=REDACTED",
		"/configdata?token=1-abc&uuid=a":             "/configdata?token=REDACTED&uuid=a",
		"/configdata?TOKEN=1-abc":                    "/configdata?TOKEN=REDACTED",
		"/configdata?t%6Fken=1-abc&x=y":              "/configdata?t%6Fken=REDACTED&x=y",
		`Get "http://h/?token=1-abc": EOF`:           `Get "http://h/?token=REDACTED": EOF`,
		"talos.config=http://h/?token=1-abc panic=1": "talos.config=http://h/?token=REDACTED panic=1",
		"u=http%3A%2F%2Fh%3Ftoken%3D1-abc":           "u=http%3A%2F%2Fh%3Ftoken%3DREDACTED",
		"/configdata?uuid=a&token=":                  "/configdata?uuid=a&token=",
		"/env/a/vmlinuz":                             "/env/a/vmlinuz",
	} {
		if got := boottoken.Redact(text); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

// FuzzCheck takes whatever comes for no token, unless it is one.
func FuzzCheck(f *testing.F) {
	k := key(f, 1)
	for _, text := range []string{"", "-", "1-a", k.Mint("binding", 1).Text(), k.Mint("b", 2).Text()} {
		f.Add(text, "binding")
	}

	f.Fuzz(func(t *testing.T, text, binding string) {
		generation, genuine, err := k.Check(text, binding)
		if genuine != (err == nil && k.Mint(binding, generation).Text() == text) {
			t.Errorf("%q for %q: generation %d, genuine %t, %v", text, binding, generation, genuine, err)
		}

		if address := "/configdata?uuid=&token=" + url.QueryEscape(text); len(text) > 3 && err == nil && strings.Contains(boottoken.Redact(address), text) {
			t.Errorf("%q is in %q", text, boottoken.Redact(address))
		}
	})
}
