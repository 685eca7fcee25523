package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
)

const (
	// reserve is how many bytes of the disk downloads leave free: the appliance's database is on it too.
	reserve = 512 << 20
	// largest is how many bytes a file may have: iPXE counts them with 32 bits under BIOS. It ends answers that never end.
	largest = 4<<30 - 1
)

// memory is what an attempt leaves to the next one.
type memory struct {
	// refused is the version of content that had the wrong digest.
	refused string
	// brought is the person's file that could not be taken, and why.
	brought brought
	reason  error
}

// outcome is what an attempt ended with.
type outcome struct {
	memory
	err error
	// kept is the content, when it was kept.
	kept     store.Blob
	duration time.Duration
}

// attempt tries to get the content of a URL: from what a person brought, else from where the URL says.
func (d *Downloads) attempt(ctx context.Context, j *job, last memory) outcome {
	began := time.Now()
	o := outcome{memory: last}
	partial, err := d.config.Store.Partial(j.url)
	if err != nil {
		o.err = stored(err)
		return o
	}
	t := &transfer{url: j.url, partial: partial, refused: last.refused, report: j.report, room: func(more int64) error { return d.room(j, more) }, largest: d.config.Largest}
	if file, ok := d.find(ctx, &o, j.url); ok {
		o.kept, o.err = d.hand(ctx, t, file)
		o.reason = o.err
		if o.err != nil && !wrong(classify(o.err)) {
			o.brought = brought{} // it may do another time
		}
	} else if o.err = d.fetch(ctx, t); o.err != nil {
		o.err = errors.Join(d.explain(o), leave(partial, o.err))
	} else {
		o.refused = partial.Source().Version
		o.kept, o.err = d.keep(ctx, partial)
	}
	o.duration = time.Since(began)
	return o
}

// leave keeps what there is for the next attempt, except where it would be in the way, or can never be completed.
func leave(partial *store.Partial, failed error) error {
	switch classify(failed).Reason {
	case DiskFull, TooLarge:
		return partial.Discard()
	default:
		return partial.Close()
	}
}

// find looks for a file that a person brought and that was not refused before.
func (d *Downloads) find(ctx context.Context, o *outcome, url string) (offline.File, bool) {
	digests, _ := d.digests(url)
	file, err := d.config.Offline.Find(ctx, url, digests...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		o.brought, o.reason = brought{}, nil
	case err != nil:
		o.brought, o.reason = brought{}, err
	case !o.brought.same(file):
		o.brought = broughtOf(file)
		return file, true
	}
	return offline.File{}, false
}

// hand takes a person's file over.
func (d *Downloads) hand(ctx context.Context, t *transfer, file offline.File) (store.Blob, error) {
	from := func(err error) error {
		f := *classify(err)
		f.Err = fmt.Errorf("take %s: %w", file.Path(), f.Err)
		return &f
	}
	if err := t.hand(ctx, file); err != nil {
		return store.Blob{}, errors.Join(from(err), leave(t.partial, err))
	}
	blob, err := d.keep(ctx, t.partial)
	if err != nil {
		return store.Blob{}, from(err)
	}
	if err := file.Remove(); err != nil {
		d.config.Log.Warn("file brought by hand stays where it was", "path", file.Path(), "reason", err.Error())
	}
	return blob, nil
}

// wrong tells whether a file would fail again.
func wrong(f *Failure) bool { return useless(f) || f.Reason == Refused }

// explain adds to the failure of a download what is wrong with the file that somebody brought in its place.
func (d *Downloads) explain(o outcome) error {
	if o.reason == nil || errors.Is(o.err, context.Canceled) {
		return o.err
	}
	f := *classify(o.err)
	f.Err = fmt.Errorf("%w; before: %w", f.Err, o.reason)
	return &f
}

// fetch completes a transfer from where its URL says.
func (d *Downloads) fetch(ctx context.Context, t *transfer) error {
	parsed, err := url.Parse(t.url)
	switch {
	case err != nil:
		return &Failure{Reason: InvalidURL, Err: errMalformed}
	case parsed.Scheme == "file":
		return t.local(ctx, d.config.Folders)
	case parsed.Scheme != "http" && parsed.Scheme != "https", parsed.Host == "":
		return &Failure{Reason: InvalidURL, Err: fmt.Errorf("%s cannot be downloaded from", shown(t.url))}
	default:
		return t.http(ctx, d.client)
	}
}

// room is an error when so many bytes more would fill the disk, beside what the other downloads that run will still need.
func (d *Downloads) room(j *job, more int64) error {
	free, err := d.config.Free()
	if err != nil {
		return stored(err)
	}
	if others := d.promised(j); free-others-reserve < more {
		return &Failure{Reason: DiskFull, Err: fmt.Errorf("%d MiB are needed and %d MiB are free, of which %d MiB stay free and %d MiB are for other downloads",
			max(more, 0)>>20, free>>20, reserve>>20, others>>20)}
	}
	return nil
}

// promised is how many bytes will still come to the jobs that run, but one.
func (d *Downloads) promised(but *job) (bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, j := range d.jobs {
		if j != but && j.running != nil {
			bytes += max(j.total.Load()-j.received.Load(), 0)
		}
	}
	return bytes
}

// keep puts complete content into the store, if anybody asks for it.
func (d *Downloads) keep(ctx context.Context, partial *store.Partial) (store.Blob, error) {
	blob, err := partial.Seal(ctx)
	if err != nil {
		return store.Blob{}, errors.Join(stored(err), partial.Close())
	}
	digests, anything := d.digests(partial.URL())
	switch known := slices.Contains(digests, blob.Digest); {
	case !known && isPage(partial):
		return store.Blob{}, errors.Join(&Failure{Reason: Refused, Err: errPage}, partial.Discard())
	case !known && !anything:
		return store.Blob{}, errors.Join(mismatch(blob.Digest, digests), partial.Discard())
	}
	return blob, stored(partial.Keep())
}

// isPage tells whether content is HTML, as servers that want a person to log in first send it, and portals of networks.
func isPage(content io.ReaderAt) bool {
	const looksAt = 512 // of DetectContentType
	start := make([]byte, looksAt)
	n, _ := content.ReadAt(start, 0)
	return strings.HasPrefix(http.DetectContentType(start[:n]), "text/html")
}

// mismatch is the failure of content that is not what was asked for.
func mismatch(got string, wanted []string) error {
	if len(wanted) == 0 {
		return context.Canceled // nobody asks for it any more
	}
	return &Failure{Reason: DigestMismatch, Err: fmt.Errorf("the file's SHA-512 is %s instead of %s", got, strings.Join(wanted, " or "))}
}

// end notes what an attempt ended with.
func (d *Downloads) end(j *job, o outcome) {
	d.mu.Lock()
	last := j.failure
	j.memory = o.memory
	if d.needs(j.url) {
		d.again(j, o)
	} else {
		delete(d.jobs, j.url)
	}
	failure, owners := j.failure, d.owners(j.url)
	d.mu.Unlock()
	d.log(j.url, o, last, failure)
	d.tell(owners)
	d.rouse()
}

// needs tells whether somebody asks for content of a URL that is not there. The lock is held.
func (d *Downloads) needs(url string) bool {
	for _, refs := range d.wanted {
		for _, ref := range refs {
			if ref.URL == url && !d.there(ref) {
				return true
			}
		}
	}
	return false
}

// again has a job tried later. The lock is held.
func (d *Downloads) again(j *job, o outcome) {
	switch {
	case j.renewed:
		j.running = nil
		j.renew()
	case errors.Is(o.err, context.Canceled):
		// Somebody stopped asking, and asks again.
		j.running, j.next = nil, time.Time{}
	case o.err != nil:
		j.fail(classify(o.err), time.Now())
	default:
		// It was kept for somebody else.
		j.fail(&Failure{Reason: DigestMismatch, Err: fmt.Errorf("the file's SHA-512 is %s, not the one that is asked for", o.kept.Digest)}, time.Now())
	}
}

func (d *Downloads) log(url string, o outcome, last, failure *Failure) {
	level := slog.LevelWarn
	switch {
	case errors.Is(o.err, context.Canceled):
		return
	case o.err == nil:
		d.config.Log.Info("asset downloaded", "url", shown(url), "bytes", o.kept.Size, "sha512", o.kept.Digest, "duration", o.duration)
		return
	case last != nil && failure != nil && last.Reason == failure.Reason:
		level = slog.LevelDebug
	}
	d.config.Log.Log(context.Background(), level, "asset not downloaded", "url", shown(url), "reason", classify(o.err).Error())
}
