package download

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	for tries, want := range map[int]time.Duration{
		1: 5 * time.Second, 2: 10 * time.Second, 3: 20 * time.Second, 7: 320 * time.Second, 8: 10 * time.Minute, 9: 10 * time.Minute, 1000: 10 * time.Minute,
	} {
		if got := pause(tries); got != want {
			t.Errorf("after %d tries: %s, want %s", tries, got, want)
		}
	}
}

func TestDue(t *testing.T) {
	now := time.Unix(1000, 0)
	const running = -1
	for name, test := range map[string]struct {
		jobs map[string]int // when each is due, in seconds from now
		want []string
		wait time.Duration
	}{
		"none":              {wait: time.Hour},
		"now and later":     {map[string]int{"http://a/1": 0, "http://a/2": 5, "http://a/3": 60}, []string{"http://a/1"}, 5 * time.Second},
		"in turn":           {map[string]int{"http://a/1": -10, "http://b/2": -20, "http://c/3": 0}, []string{"http://b/2", "http://a/1", "http://c/3"}, time.Hour},
		"running":           {map[string]int{"http://a/1": running}, nil, time.Hour},
		"four of a host":    {map[string]int{"http://a/1": running, "http://a/2": running, "http://a/3": running, "http://a/4": 0, "http://a/5": 0, "http://b/6": 0}, []string{"http://a/4", "http://b/6"}, time.Hour},
		"malformed are one": {map[string]int{"http://a b": 0, "http://%zz": 0}, []string{"http://%zz", "http://a b"}, time.Hour},
	} {
		jobs := map[string]*job{}
		for url, seconds := range test.jobs {
			j := &job{url: url, next: now.Add(time.Duration(seconds) * time.Second)}
			if seconds == running {
				j.running = func() {}
			}
			jobs[url] = j
		}
		begin, wait := due(jobs, now)
		var got []string
		for _, j := range begin {
			got = append(got, j.url)
		}
		if !slices.Equal(got, test.want) || wait != test.wait {
			t.Errorf("%s: %v in %s, want %v in %s", name, got, wait, test.want, test.wait)
		}
	}

	jobs := map[string]*job{}
	for i := range 100 {
		url := fmt.Sprintf("http://%d/", i)
		jobs[url] = &job{url: url}
	}
	if begin, _ := due(jobs, now); len(begin) != atOnce {
		t.Errorf("%d at once", len(begin))
	}
}

func TestJobState(t *testing.T) {
	_, cancel := context.WithCancel(t.Context())
	defer cancel()
	failure := &Failure{Reason: NotFound, Err: errors.New("x")}
	j := &job{}
	for _, step := range []struct {
		name   string
		do     func()
		reason Reason
		failed bool
	}{
		{"new", func() {}, Queued, false},
		{"begun", func() { j.begin(cancel) }, Downloading, false},
		{"some came", func() { j.report(5, 10) }, Downloading, false},
		{"failed", func() { j.fail(failure, time.Now()) }, NotFound, true},
		{"begun again: the failure stands until something comes", func() { j.begin(cancel) }, NotFound, true},
		{"something came", func() { j.report(6, 10) }, Downloading, false},
	} {
		step.do()
		if s := j.state(); s.Reason != step.reason || (s.Err != nil) != step.failed {
			t.Errorf("%s: %+v", step.name, s)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "0": 0, "-1": 0, "99999999": time.Hour, "99999999999999999999": 0, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(text, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzParsePart(f *testing.F) {
	for _, text := range []string{"bytes 0-499/1234", "bytes 5-9/*", "bytes */10", "bytes 9-5/10", "bytes 0-10/10", "bytes -1-5/9", "items 0-1/2", "bytes 0-9223372036854775807/9223372036854775808"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parsePart(text)
		if !ok {
			return
		}
		if got.first < 0 || got.last < got.first || got.size < 0 || got.size > 0 && got.last >= got.size {
			t.Fatalf("%q is %+v", text, got)
		}
		size := "*"
		if got.size > 0 {
			size = strconv.FormatInt(got.size, 10)
		}
		if again, ok := parsePart(fmt.Sprintf("bytes %d-%d/%s", got.first, got.last, size)); !ok || again != got {
			t.Fatalf("%q is %+v, and then %+v", text, got, again)
		}
	})
}

func FuzzVersionOf(f *testing.F) {
	f.Add(`"x"`, "Mon, 02 Jan 2006 15:04:05 GMT", "Mon, 02 Jan 2007 15:04:05 GMT")
	f.Add(`W/"x"`, "", "")
	f.Fuzz(func(t *testing.T, tag, modified, date string) {
		header := http.Header{"Etag": {tag}, "Last-Modified": {modified}, "Date": {date}}
		switch got := versionOf(header); got {
		case "":
		case tag:
			if tag[0] != '"' {
				t.Fatalf("took the ETag %q", tag)
			}
		case modified:
			if tag != "" {
				t.Fatalf("took the date beside the ETag %q", tag)
			}
		default:
			t.Fatalf("made up %q", got)
		}
	})
}
