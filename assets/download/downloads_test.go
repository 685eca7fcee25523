package download_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

var ref = store.Ref{URL: address}

func TestADownloadIsSharedByAllWhoAsk(t *testing.T) {
	run(t, func(f *fixture) {
		f.server.set("/v1/vmlinuz", large())
		f.Want("a", ref)
		f.Want("b", ref, store.Ref{URL: address, SHA512: digest(large())})
		f.ready(ref, time.Minute, large())
		f.ready(store.Ref{URL: "http://elsewhere.test/", SHA512: digest(large())}, 0, large())
		f.Want("c", store.Ref{URL: "http://elsewhere.test/", SHA512: digest(large())})
		time.Sleep(time.Hour)
		if asked := f.server.requests(); len(asked) != 1 || asked[0].Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("%d requests", len(asked))
		}
		f.stop()
		if f.changed["a"] == 0 || f.changed["b"] == 0 || f.changed["c"] > 0 || !strings.Contains(f.log.String(), digest(large())) {
			t.Errorf("told %v, logged %s", f.changed, f.log)
		}
	})
}

func TestWhatIsLostIsDownloadedAgain(t *testing.T) {
	run(t, func(f *fixture) {
		f.server.set("/v1/vmlinuz", "kernel")
		f.Want("a", ref)
		f.ready(ref, time.Minute, "kernel")
		must(t, os.RemoveAll(f.dir+"/blobs"))
		must(t, os.Mkdir(f.dir+"/blobs", 0o700))
		if state := f.State(ref); state.Blob != nil || state.Reason != download.Queued {
			t.Errorf("lost: %+v", state)
		}
		f.Want("a", ref)
		f.ready(ref, time.Minute, "kernel")
	})
}

// cutAfter serves a text but ends the connection after some bytes.
func cutAfter(w http.ResponseWriter, text string, n int) {
	w.Header().Set("ETag", `"`+digest(text)[:16]+`"`)
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	_, _ = w.Write([]byte(text[:n]))
	panic(http.ErrAbortHandler)
}

func TestATruncatedDownloadGoesOn(t *testing.T) {
	run(t, func(f *fixture) {
		text, half := large(), len(large())/2
		f.server.set("/v1/vmlinuz", text)
		f.server.spoil = func(w http.ResponseWriter, _ *http.Request, n int) bool {
			if n == 1 {
				cutAfter(w, text, half)
			}
			return false
		}
		f.Want("a", ref)
		state := f.fails(ref, download.Truncated, fmt.Sprintf("of %d bytes came", len(text)))
		if state.Received == 0 || state.Total != int64(len(text)) || state.Next.IsZero() {
			t.Errorf("state is %+v", state)
		}
		f.ready(ref, time.Minute, text)
		asked := f.server.requests()
		var from int
		if _, err := fmt.Sscanf(asked[len(asked)-1].Header.Get("Range"), "bytes=%d-", &from); err != nil || from < half/2 || from >= half {
			t.Errorf("went on by %q", asked[len(asked)-1].Header.Get("Range"))
		}
		if got := asked[len(asked)-1].Header.Get("If-Range"); got != `"`+digest(text)[:16]+`"` {
			t.Errorf("if it is %q", got)
		}
	})
}

// TestAServerThatCutsOften is tried again soon as long as each attempt comes further.
func TestAServerThatCutsOften(t *testing.T) {
	run(t, func(f *fixture) {
		text := strings.Repeat(large(), 5)
		f.server.spoil = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			from := 0
			w.Header().Set("ETag", `"1"`)
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(text)-1, len(text)))
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(text)-from))
			if from > 0 {
				w.WriteHeader(http.StatusPartialContent)
			}
			end := min(from+3<<19, len(text))
			_, _ = w.Write([]byte(text[from:end]))
			if end < len(text) {
				panic(http.ErrAbortHandler)
			}
			return true
		}
		f.Want("a", ref)
		f.ready(ref, 2*time.Minute, text)
		if n := len(f.server.requests()); n < 8 {
			t.Errorf("%d attempts", n)
		}
	})
}

// TestARestartGoesOn kills nothing: what a crash leaves is the store's test.
func TestARestartGoesOn(t *testing.T) {
	run(t, func(f *fixture) {
		text := large()
		f.server.set("/v1/vmlinuz", text)
		f.server.spoil = func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				w.Header().Set("ETag", `"`+digest(text)[:16]+`"`)
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
				_, _ = w.Write([]byte(text[:len(text)/2]))
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}
			return n == 1
		}
		f.Want("a", ref)
		f.await(ref, time.Minute, func(s download.State) bool { return s.Reason == download.Downloading && s.Received > 1<<20 })
		f.stop()
		f.start()
		f.Want("a", ref)
		f.ready(ref, time.Second, text)
		if asked := f.server.requests(); len(asked) != 2 || asked[1].Header.Get("Range") == "" {
			t.Errorf("%d requests", len(asked))
		}
	})
}

// TestServersThatLieAboutRanges are what was seen of mirrors and proxies.
func TestServersThatLieAboutRanges(t *testing.T) {
	text := large()
	size := len(text)
	part := func(w http.ResponseWriter, contentRange, body string) {
		w.Header().Set("Content-Range", contentRange)
		w.Header().Set("ETag", `"`+digest(text)[:16]+`"`)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte(body))
	}
	first := func(r *http.Request) (n int) {
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &n)
		return n
	}
	for name, lie := range map[string]func(w http.ResponseWriter, r *http.Request){
		"other bytes": func(w http.ResponseWriter, r *http.Request) {
			part(w, fmt.Sprintf("bytes %d-%d/%d", first(r), size-1, size), strings.Repeat("x", size-first(r)))
		},
		"bytes from the start": func(w http.ResponseWriter, r *http.Request) {
			part(w, fmt.Sprintf("bytes %d-%d/%d", first(r), size-1, size), "!"+text[:size-first(r)-1])
		},
		"another range": func(w http.ResponseWriter, r *http.Request) {
			part(w, fmt.Sprintf("bytes 0-%d/%d", size-1, size), text)
		},
		"another size": func(w http.ResponseWriter, r *http.Request) {
			part(w, fmt.Sprintf("bytes %d-%d/%d", first(r), size, size+1), text[first(r):]+"x")
		},
		"less than asked for": func(w http.ResponseWriter, r *http.Request) {
			part(w, fmt.Sprintf("bytes %d-%d/%d", first(r), first(r)+9, size), text[first(r):first(r)+10])
		},
		"less, and not of how much": func(w http.ResponseWriter, r *http.Request) {
			last := min(first(r)+1_300_000, size-1)
			part(w, fmt.Sprintf("bytes %d-%d/*", first(r), last), text[first(r):last+1])
		},
		"no range": func(w http.ResponseWriter, r *http.Request) { part(w, "", text[first(r):]) },
		"garbage":  func(w http.ResponseWriter, r *http.Request) { part(w, "bytes -1-5/x", text[first(r):]) },
		"another ETag": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first(r), size-1, size))
			w.Header().Set("ETag", `"new"`)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write([]byte(text[first(r):]))
		},
		"cannot be satisfied": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) },
		"everything":          func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(f *fixture) {
				f.server.set("/v1/vmlinuz", text)
				f.server.spoil = func(w http.ResponseWriter, r *http.Request, n int) bool {
					switch {
					case n == 1:
						cutAfter(w, text, size/2)
					case r.Header.Get("Range") != "":
						lie(w, r)
						return true
					}
					return false
				}
				f.Want("a", ref)
				f.ready(ref, 2*time.Minute, text)
				asked := f.server.requests()
				if last := asked[len(asked)-1].Header.Get("Range"); last != "" && name != "everything" && name != "less, and not of how much" {
					t.Errorf("the part %s was believed", last)
				}
			})
		})
	}
}

// TestOnlyAStrongVersionIsGoneOnWith: of anything else nobody knows whether the rest belongs to the beginning.
func TestOnlyAStrongVersionIsGoneOnWith(t *testing.T) {
	bubble := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where the clock of synctest begins
	old := bubble.Add(-time.Hour)
	for name, test := range map[string]struct {
		header http.Header
		want   bool
	}{
		"strong ETag":         {http.Header{"Etag": {`"x"`}}, true},
		"weak ETag":           {http.Header{"Etag": {`W/"x"`}}, false},
		"none":                {http.Header{}, false},
		"old Last-Modified":   {http.Header{"Last-Modified": {old.UTC().Format(http.TimeFormat)}}, true},
		"young Last-Modified": {http.Header{"Last-Modified": {bubble.Add(-30 * time.Second).Format(http.TimeFormat)}}, false},
		"malformed":           {http.Header{"Etag": {"x"}, "Last-Modified": {"yesterday"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(f *fixture) {
				text := large()
				f.server.spoil = func(w http.ResponseWriter, _ *http.Request, n int) bool {
					for key, values := range test.header {
						w.Header()[key] = values
					}
					if n == 1 {
						w.Header().Set("Content-Length", fmt.Sprint(len(text)))
						_, _ = w.Write([]byte(text[:len(text)/2]))
						panic(http.ErrAbortHandler)
					}
					_, _ = w.Write([]byte(text))
					return true
				}
				f.Want("a", ref)
				f.ready(ref, time.Minute, text)
				if got := f.server.requests()[1].Header.Get("Range") != ""; got != test.want {
					t.Errorf("asks for the rest: %t", got)
				}
			})
		})
	}
}

func TestAServerThatStallsIsCut(t *testing.T) {
	text := large()
	for name, stall := range map[string]func(w http.ResponseWriter, r *http.Request){
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			_, _ = w.Write([]byte(text[:1000]))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"drops": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(text)))
			for i := 0; r.Context().Err() == nil; i++ {
				_, _ = w.Write([]byte(text[i : i+1]))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(f *fixture) {
				f.server.set("/v1/vmlinuz", text)
				f.server.spoil = func(w http.ResponseWriter, r *http.Request, n int) bool {
					if n == 1 {
						stall(w, r)
					}
					return n == 1
				}
				f.Want("a", ref)
				f.fails(ref, download.Stalled)
				f.ready(ref, time.Minute, text)
			})
		})
	}
}

// TestASlowServerIsNot: a large file over a slow link takes its time.
func TestASlowServerIsNot(t *testing.T) {
	run(t, func(f *fixture) {
		text := large()
		f.server.spoil = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			for begin := 0; begin < len(text); begin += 4 << 10 {
				_, _ = w.Write([]byte(text[begin:min(begin+4<<10, len(text))]))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(2 * time.Second)
			}
			return true
		}
		f.Want("a", ref)
		f.ready(ref, time.Hour, text)
		if asked := f.server.requests(); len(asked) != 1 {
			t.Errorf("%d requests", len(asked))
		}
	})
}

func TestAWrongDigestIsNotServed(t *testing.T) {
	run(t, func(f *fixture) {
		wanted := store.Ref{URL: address, SHA512: digest("kernel")}
		f.server.set("/v1/vmlinuz", "forged")
		f.Want("a", wanted)
		f.fails(wanted, download.DigestMismatch, digest("forged"), digest("kernel"))
		if state := f.State(ref); state.Blob != nil {
			t.Error("it was kept")
		}
		time.Sleep(time.Hour)
		asked := f.server.requests()
		if len(asked) < 3 || len(asked) > 20 {
			t.Errorf("%d requests in an hour", len(asked))
		}
		if got := asked[len(asked)-1].Header.Get("If-None-Match"); got == "" {
			t.Error("the wrong file is downloaded again and again")
		}
		f.fails(wanted, download.DigestMismatch)
		f.server.set("/v1/vmlinuz", "kernel")
		f.ready(wanted, 2*time.Hour, "kernel")
	})
}

// TestADigestThatIsCorrectedIsTriedAtOnce, also when the server would say that nothing has changed.
func TestADigestThatIsCorrectedIsTriedAtOnce(t *testing.T) {
	run(t, func(f *fixture) {
		wrong, right := store.Ref{URL: address, SHA512: digest("typo")}, store.Ref{URL: address, SHA512: digest("kernel")}
		f.server.set("/v1/vmlinuz", "kernel")
		f.Want("a", wrong)
		f.fails(wrong, download.DigestMismatch)
		time.Sleep(time.Hour)
		f.Want("a", right)
		f.ready(right, time.Second, "kernel")

		answer := make(chan struct{})
		f.server.spoil = func(http.ResponseWriter, *http.Request, int) bool { <-answer; return false }
		f.server.set("/v2", "kernel 2")
		wrong, right = store.Ref{URL: host + "/v2", SHA512: digest("typo")}, store.Ref{URL: host + "/v2", SHA512: digest("kernel 2")}
		f.Want("a", wrong)
		time.Sleep(time.Second)
		f.Want("a", right) // while the attempt runs
		close(answer)
		f.ready(right, time.Second, "kernel 2")
	})
}

// TestAWrongDigestIsNotDownloadedOften where the server does not tell whether the file is another one.
func TestAWrongDigestIsNotDownloadedOften(t *testing.T) {
	run(t, func(f *fixture) {
		var at []time.Time
		f.server.spoil = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			at = append(at, time.Now())
			_, _ = w.Write([]byte(large()))
			return true
		}
		f.Want("a", store.Ref{URL: address, SHA512: digest("kernel")})
		time.Sleep(6 * time.Hour)
		f.stop()
		if first := at[1].Sub(at[0]); len(at) < 6 || len(at) > 15 || first < 24*time.Second {
			t.Errorf("%d times in six hours, the second after %s", len(at), first)
		}
	})
}

// TestAWrongDigestForOneIsRightForAnother: an Environment without a digest takes what there is.
func TestAWrongDigestForOneIsRightForAnother(t *testing.T) {
	run(t, func(f *fixture) {
		wanted := store.Ref{URL: address, SHA512: digest("kernel")}
		f.server.set("/v1/vmlinuz", "another")
		f.Want("a", wanted)
		f.Want("b", ref)
		f.ready(ref, time.Minute, "another")
		f.fails(wanted, download.DigestMismatch)
		f.ready(ref, 0, "another")
	})
}

func TestWhatNobodyAsksForIsStopped(t *testing.T) {
	run(t, func(f *fixture) {
		text := large()
		ended := make(chan struct{})
		f.server.set("/v1/vmlinuz", text)
		f.server.spoil = func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 1 {
				w.Header().Set("ETag", `"`+digest(text)[:16]+`"`)
				w.Header().Set("Content-Length", fmt.Sprint(len(text)))
				_, _ = w.Write([]byte(text[:len(text)/2]))
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				close(ended)
			}
			return n == 1
		}
		f.Want("a", ref)
		f.await(ref, time.Minute, func(s download.State) bool { return s.Received > 1<<20 })
		f.Want("a")
		<-ended
		if wanted := f.Wanted(); len(wanted) > 0 {
			t.Errorf("still wanted: %v", wanted)
		}
		f.Want("a", ref) // kubectl replace --force
		f.ready(ref, time.Second, text)
	})
}

func TestAHostThatHangsHoldsUpNoOther(t *testing.T) {
	run(t, func(f *fixture) {
		f.network.serve("hangs.test:80", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), nil)
		f.server.set("/v1/vmlinuz", "kernel")
		for i := range 100 {
			f.Want(fmt.Sprint("hangs", i), store.Ref{URL: fmt.Sprintf("http://hangs.test/%d", i)})
		}
		time.Sleep(10 * time.Minute)
		f.Want("a", ref)
		f.ready(ref, time.Second, "kernel")
	})
}

func TestPausesGrow(t *testing.T) {
	run(t, func(f *fixture) {
		var at []time.Time
		f.server.spoil = func(http.ResponseWriter, *http.Request, int) bool { at = append(at, time.Now()); return false }
		f.Want("a", ref)
		time.Sleep(6 * time.Hour)
		f.stop()
		if len(at) < 30 || len(at) > 60 {
			t.Errorf("%d attempts in six hours", len(at))
		}
		if first := at[1].Sub(at[0]); first < 4*time.Second || first > 6*time.Second {
			t.Errorf("the first pause is %s", first)
		}
		if last := at[len(at)-1].Sub(at[len(at)-2]); last < 8*time.Minute || last > 12*time.Minute {
			t.Errorf("the last pause is %s", last)
		}
		if warnings := strings.Count(f.log.String(), "level=WARN"); warnings != 1 {
			t.Errorf("%d warnings of one thing", warnings)
		}
	})
}
