package webhook

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The example of RFC 2617 section 3.5, whose answer it gives.
func TestDigestOfTheRFC(t *testing.T) {
	challenge, err := parseChallenges([]string{
		`Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
	})
	if err != nil {
		t.Fatal(err)
	}
	got := challenge.authorization(Auth{User: "Mufasa", Password: "Circle Of Life"}, "GET", "/dir/index.html", "0a4f113b")
	for _, want := range []string{
		`username="Mufasa"`, `uri="/dir/index.html"`, "qop=auth, nc=00000001", `response="6629fae49393a05397450978507c4ef1"`, `opaque="5ccc069c403ebaf9f0171e9517f40e41"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

// TestDigestOfCurl compares with what curl answers to the same challenges.
func TestDigestOfCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal("curl is missing: install the Debian package curl")
	}
	for _, offered := range []string{
		`Digest qop="auth", realm="shellyplus1pm-a8032abe54dc", nonce="60dc2c3d", algorithm=SHA-256`,
		`Digest qop="auth", realm="a \"quoted\" realm", nonce="60dc2c3d", algorithm=MD5, opaque="x"`,
		`Digest realm="old", nonce="60dc2c3d"`,
	} {
		answers := make(chan string, 4)
		server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if answer := r.Header.Get("Authorization"); answer != "" {
				answers <- answer
				return
			}
			w.Header().Set("WWW-Authenticate", offered)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		const uri = "/rpc/Switch.Set?id=0&on=true"
		if output, err := exec.CommandContext(t.Context(), curl, "--silent", "--show-error", "--fail", "--noproxy", "*", "--digest", "--user", "admin:pa ss&", server+uri).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		want, _ := digestParameters(<-answers)
		challenge, err := parseChallenges([]string{offered})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := digestParameters(challenge.authorization(Auth{User: "admin", Password: "pa ss&"}, "GET", uri, want["cnonce"]))
		for _, name := range []string{"response", "realm", "nonce", "uri", "username", "qop", "nc", "opaque"} {
			if got[name] != want[name] {
				t.Errorf("%s: %s is %q, curl has %q", offered, name, got[name], want[name])
			}
		}
	}
}

// TestStrongestChallenge: a device that offers both is answered with SHA-256.
func TestStrongestChallenge(t *testing.T) {
	offered := []string{`Digest nonce="x", algorithm=MD5`, `Basic realm="x"`, `Digest nonce="x", algorithm=SHA-256`}
	for range 2 {
		if challenge, err := parseChallenges(offered); err != nil || challenge.algorithm != "SHA-256" {
			t.Errorf("%+v, %v", challenge, err)
		}
		slices.Reverse(offered)
	}
}

func TestChallengesWithoutAnAnswer(t *testing.T) {
	for _, header := range []string{"", "Basic", "Digest", `Digest realm="x"`, `Digest nonce="x", algorithm=SHA-512-256`, `Digest nonce="x", qop="auth-int"`} {
		if _, err := parseChallenges([]string{header}); err == nil {
			t.Errorf("accepted %q", header)
		}
	}
}

func FuzzDigest(f *testing.F) {
	for _, seed := range []string{"", "Digest", `Digest nonce="a\"b", realm=x,,qop="auth"`, `Digest nonce="\`, "Digest =", `Digest nonce=x`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		challenge, err := parseChallenges([]string{header})
		if err != nil {
			return
		}
		answer := challenge.authorization(Auth{User: "u", Password: "hunter2 "}, "GET", "/", "c")
		if strings.Contains(answer, "hunter2 ") && !strings.Contains(header, "hunter2 ") {
			t.Error("the password is in the answer")
		}
		if parameters, ok := digestParameters(answer); !ok || parameters["nonce"] != challenge.nonce || parameters["realm"] != challenge.realm {
			t.Errorf("%q does not repeat the challenge %q", answer, header)
		}
	})
}
