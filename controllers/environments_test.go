package controllers_test

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr/funcr"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apis/metal/v1alpha2"
	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/bootstrap"
	"github.com/sidero-appliance/sidero-appliance/assets/download"
	"github.com/sidero-appliance/sidero-appliance/assets/offline"
	"github.com/sidero-appliance/sidero-appliance/assets/store"
	"github.com/sidero-appliance/sidero-appliance/controllers"
	"github.com/sidero-appliance/sidero-appliance/controllers/metal/environment"
)

// releases is a server that has any file below /talos/, each holding its own path, and may hold them back.
type releases struct {
	*httptest.Server

	mu    sync.Mutex
	asked map[string]int
	held  chan struct{}
}

func newReleases(t *testing.T) *releases {
	t.Helper()

	r := &releases{asked: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)

	return r
}

// ServeHTTP implements http.Handler.
func (r *releases) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	r.asked[request.URL.Path]++
	held := r.held
	r.mu.Unlock()

	if held != nil {
		select {
		case <-held:
		case <-request.Context().Done():
			return
		}
	}

	if !strings.HasPrefix(request.URL.Path, "/talos/") {
		http.NotFound(w, request)

		return
	}

	fmt.Fprint(w, request.URL.Path)
}

// hold keeps answers back until the returned function is called.
func (r *releases) hold() (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.held = make(chan struct{})

	return sync.OnceFunc(func() { close(r.held) })
}

func (r *releases) count(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.asked[path]
}

// lifetime is an appliance's API, which outlives the controllers that run on it.
type lifetime struct {
	client.Client

	t       *testing.T
	plane   *apitest.Plane
	dir     string
	store   *store.Store
	running *apitest.Running
}

func newLifetime(t *testing.T) *lifetime {
	t.Helper()

	l := &lifetime{t: t, plane: apitest.Start(t), dir: t.TempDir()}

	rights, err := bootstrap.New(bootstrap.Config{Client: l.plane.Admin, Logger: slog.New(slog.NewTextHandler(libraries, nil))})
	must(t, err)
	apitest.Run(t, rights)

	scheme := runtime.NewScheme()
	must(t, v1alpha2.AddToScheme(scheme))
	must(t, eventsv1.AddToScheme(scheme))

	l.Client, err = client.New(l.plane.Admin, client.Options{Scheme: scheme})
	must(t, err)

	return l
}

// start runs controllers, which end with the test.
func (l *lifetime) start(change func(*environment.Config)) {
	l.t.Helper()

	var err error

	l.store, err = store.Open(filepath.Join(l.dir, "assets"))
	must(l.t, err)

	folder, err := offline.Open(filepath.Join(l.dir, "import"))
	must(l.t, err)

	config := environment.Config{Downloads: download.Config{Store: l.store, Offline: folder, Log: slog.New(slog.NewTextHandler(l.t.Output(), nil))}}
	change(&config)

	c, err := controllers.New(controllers.Config{
		Client:       l.plane.Client(l.t, bootstrap.Controllers),
		Environments: config,
		Logger:       funcr.New(func(_, text string) { libraries.Write([]byte(text + "\n")) }, funcr.Options{}),
	})
	must(l.t, err)

	running, err := apitest.Begin(c)
	l.running = running
	l.t.Cleanup(l.stop)
	must(l.t, err)
}

func (l *lifetime) stop() {
	if l.running == nil {
		return
	}

	if err := l.running.Stop(); err != nil {
		l.t.Error(err)
	}

	l.running = nil
}

// await waits until an Environment is as it should be.
func (l *lifetime) await(name, what string, holds func(*v1alpha2.Environment) bool) *v1alpha2.Environment {
	l.t.Helper()

	e := &v1alpha2.Environment{}

	eventually(l.t, name+" "+what, func(ctx context.Context) (bool, error) {
		*e = v1alpha2.Environment{}
		err := l.Get(ctx, client.ObjectKey{Name: name}, e)

		return err == nil && holds(e), client.IgnoreNotFound(err)
	})

	return e
}

func ready(e *v1alpha2.Environment) bool { return len(e.Status.Conditions) == 2 && e.Ready() }

// because tells whether a file of an Environment is missing for a reason.
func because(reason string) func(*v1alpha2.Environment) bool {
	return func(e *v1alpha2.Environment) bool {
		return slices.ContainsFunc(e.Status.Conditions, func(c v1alpha2.AssetCondition) bool {
			return c.Status == "False" && c.Reason == reason
		})
	}
}

func (l *lifetime) events(name string) string {
	l.t.Helper()

	var all eventsv1.EventList

	must(l.t, l.List(l.t.Context(), &all))

	var texts []string

	for _, e := range all.Items {
		if e.Regarding.Name == name {
			text := fmt.Sprintf("%s %s: %s", e.Type, e.Reason, e.Note)
			if e.Series != nil {
				text += fmt.Sprintf(" (%d times)", e.Series.Count)
			}

			texts = append(texts, text)
		}
	}

	return strings.Join(texts, "\n")
}

func newEnvironment(name, kernel, initrd string) *v1alpha2.Environment {
	return &v1alpha2.Environment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha2.EnvironmentSpec{
			Kernel: v1alpha2.Kernel{Asset: v1alpha2.Asset{URL: kernel}},
			Initrd: v1alpha2.Initrd{Asset: v1alpha2.Asset{URL: initrd}},
		},
	}
}

// TestEnvironments follows Sidero's acceptance steps about Environments, and what goes wrong with their files.
func TestEnvironments(t *testing.T) {
	server := newReleases(t)
	l := newLifetime(t)
	l.start(func(c *environment.Config) {
		c.TalosReleases = server.URL + "/talos"
		c.Architectures = []string{environment.AMD64, environment.ARM64}
	})

	for _, test := range []struct {
		name string
		run  func(*testing.T, *lifetime, *releases)
	}{
		{"the default becomes ready", testDefaultReady},
		{"there is one for each architecture", testDefaultARM64},
		{"what is deleted comes back with its files", testDefaultDeleted},
		{"another Environment becomes ready", testCreated},
		{"digests are checked", testDigests},
		{"a file that cannot be had", testMissing},
		{"names of agents", testAgents},
		{"a file brought by hand", testBrought},
	} {
		t.Run(test.name, func(t *testing.T) {
			of := *l
			of.t = t
			test.run(t, &of, server)
		})
	}
}

func testDefaultReady(t *testing.T, l *lifetime, server *releases) {
	e := l.await("default", "is ready", ready)

	for i, file := range []string{"vmlinuz-amd64", "initramfs-amd64.xz"} {
		c, content := e.Status.Conditions[i], "/talos/"+environment.TalosRelease+"/"+file
		sum := sha512.Sum512([]byte(content))

		want := v1alpha2.AssetCondition{
			Asset: v1alpha2.Asset{URL: server.URL + content}, Type: "Ready", Status: "True",
			Reason: "Downloaded", Size: int64(len(content)), Digest: hex.EncodeToString(sum[:]),
		}
		if c != want {
			t.Errorf("condition is %+v, want %+v", c, want)
		}
	}

	eventually(t, "an Event tells of it", func(context.Context) (bool, error) {
		return strings.Contains(l.events("default"), "Normal Environment Assets: all files are here"), nil
	})
}

func testDefaultARM64(t *testing.T, l *lifetime, _ *releases) {
	e := l.await("default-arm64", "is ready", ready)

	if !strings.HasSuffix(e.Spec.Kernel.URL, "/vmlinuz-arm64") || !slices.Contains(e.Spec.Kernel.Args, "console=ttyAMA0") {
		t.Errorf("it boots %+v", e.Spec.Kernel)
	}
}

func testDefaultDeleted(t *testing.T, l *lifetime, server *releases) {
	e := l.await("default", "is there", ready)
	uid := e.UID
	must(t, l.Delete(t.Context(), e))
	e = l.await("default", "is back and ready", func(e *v1alpha2.Environment) bool { return e.UID != uid && ready(e) })

	if n := server.count("/talos/" + environment.TalosRelease + "/vmlinuz-amd64"); n != 1 {
		t.Errorf("the kernel was downloaded %d times", n)
	}

	// An edit stays, and needs no download.
	must(t, l.Patch(t.Context(), e, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"kernel":{"args":["mine"]}}}`))))
	e = l.await("default", "stays ready", ready)

	if !slices.Equal(e.Spec.Kernel.Args, []string{"mine"}) || server.count("/talos/"+environment.TalosRelease+"/vmlinuz-amd64") != 1 {
		t.Errorf("after an edit: %+v", e.Spec.Kernel)
	}
}

func testCreated(t *testing.T, l *lifetime, server *releases) {
	release := server.hold()
	defer release()

	must(t, l.Create(t.Context(), newEnvironment("sfyra", server.URL+"/talos/k", server.URL+"/talos/i")))
	l.await("sfyra", "downloads", because("Downloading"))
	release()
	e := l.await("sfyra", "is ready", ready)

	// Changing a URL is another file.
	must(t, l.Patch(t.Context(), e, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"initrd":{"url":"`+server.URL+`/talos/other"}}}`))))
	e = l.await("sfyra", "is ready again", ready)

	if server.count("/talos/k") != 1 || server.count("/talos/other") != 1 {
		t.Errorf("asked for %v", server.asked)
	}

	must(t, l.Delete(t.Context(), e))
}

func testDigests(t *testing.T, l *lifetime, server *releases) {
	right := sha512.Sum512([]byte("/talos/digest"))
	wrong := sha512.Sum512([]byte("another"))

	e := newEnvironment("digests", server.URL+"/talos/digest", server.URL+"/talos/k")
	e.Spec.Kernel.SHA512 = hex.EncodeToString(wrong[:])
	must(t, l.Create(t.Context(), e))
	e = l.await("digests", "is not ready", because("DigestMismatch"))

	first := e.Status.Conditions[0]
	if e.Ready() || first.URL != e.Spec.Kernel.URL || first.SHA512 != e.Spec.Kernel.SHA512 ||
		!strings.Contains(first.Message, hex.EncodeToString(right[:])) || !strings.Contains(first.Message, "correct sha512") {
		t.Errorf("conditions are %+v", e.Status.Conditions)
	}

	eventually(t, "an Event tells of it", func(context.Context) (bool, error) {
		return strings.Contains(l.events("digests"), "Warning Environment Assets: DigestMismatch: "), nil
	})

	e.Spec.Kernel.SHA512 = strings.ToUpper(hex.EncodeToString(right[:]))
	must(t, l.Update(t.Context(), e))
	e = l.await("digests", "is ready", ready)

	if first := e.Status.Conditions[0]; first.Reason != "Verified" || first.SHA512 != e.Spec.Kernel.SHA512 || first.Message != "" {
		t.Errorf("condition is %+v", first)
	}
}

func testMissing(t *testing.T, l *lifetime, server *releases) {
	must(t, l.Create(t.Context(), newEnvironment("missing", server.URL+"/talos/k", server.URL+"/nothing")))
	e := l.await("missing", "is not ready", because("NotFound"))

	// The missing one comes first, for the column of kubectl.
	first := e.Status.Conditions[0]
	if first.URL != server.URL+"/nothing" || !strings.Contains(first.Message, "correct the URL") ||
		!strings.Contains(first.Message, filepath.Join(l.dir, "import")) || !strings.Contains(first.Message, "next try by ") {
		t.Errorf("conditions are %+v", e.Status.Conditions)
	}

	l.await("missing", "has its kernel", func(e *v1alpha2.Environment) bool { return e.Status.Conditions[1].Status == "True" })

	must(t, l.Create(t.Context(), newEnvironment("empty", "", "")))

	must(t, l.Create(t.Context(), newEnvironment("both", server.URL+"/nothing/k", "file:///etc/passwd")))
	eventually(t, "Events tell of both", func(context.Context) (bool, error) {
		texts := l.events("both")

		return strings.Contains(texts, "NotFound: ") && strings.Contains(texts, "NotAllowed: "), nil
	})

	if e = l.await("empty", "is told of", because("MissingURL")); !e.Ready() {
		t.Error("without URLs upstream takes it for ready")
	}

	if texts := l.events("missing"); strings.Contains(texts, " times)") {
		t.Errorf("Events tell of one failure several times: %s", texts)
	}
}

func testAgents(t *testing.T, l *lifetime, server *releases) {
	e := newEnvironment("agent-amd64", server.URL+"/talos/agent", server.URL+"/talos/agent-initrd")
	must(t, l.Create(t.Context(), e))
	e = l.await("agent-amd64", "is refused", because("NameReserved"))

	if server.count("/talos/agent") != 0 || !strings.Contains(e.Status.Conditions[0].Message, v1alpha2.AnnotationReplaceAgent+"=true") {
		t.Errorf("conditions are %+v", e.Status.Conditions)
	}

	e.Annotations = map[string]string{v1alpha2.AnnotationReplaceAgent: "true"}
	must(t, l.Update(t.Context(), e))
	l.await("agent-amd64", "is ready", ready)
}

func testBrought(t *testing.T, l *lifetime, server *releases) {
	must(t, l.Create(t.Context(), newEnvironment("brought", "http://nobody.invalid/v1/vmlinuz", server.URL+"/talos/k")))
	e := l.await("brought", "is not ready", because("Unreachable"))

	_, path, ok := strings.Cut(e.Status.Conditions[0].Message, "put it at ")
	path, _, _ = strings.Cut(path, ";")

	if !ok || !strings.HasSuffix(path, "/nobody.invalid/v1/vmlinuz") {
		t.Fatalf("conditions are %+v", e.Status.Conditions)
	}

	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte("brought"), 0o644))
	l.await("brought", "is ready", ready)
}

// TestEnvironmentsAfterARestart is about an appliance that has lost its files: its status is not believed.
func TestEnvironmentsAfterARestart(t *testing.T) {
	server := newReleases(t)
	l := newLifetime(t)
	start := func() { l.start(func(c *environment.Config) { c.TalosReleases = server.URL + "/talos" }) }

	start()
	l.await("default", "is ready", ready)
	l.stop()

	start()
	l.await("default", "is ready", ready)
	l.stop()

	kernel := "/talos/" + environment.TalosRelease + "/vmlinuz-amd64"
	if n := server.count(kernel); n != 1 {
		t.Errorf("a restart has the kernel downloaded again: %d times", n)
	}

	must(t, os.RemoveAll(filepath.Join(l.dir, "assets")))

	release := server.hold()
	defer release()

	start()
	l.await("default", "is not ready", func(e *v1alpha2.Environment) bool { return !e.Ready() })
	release()
	l.await("default", "is ready again", ready)

	if n := server.count(kernel); n != 2 {
		t.Errorf("the kernel was downloaded %d times", n)
	}
}

// TestDefaultFollowsTheAppliance is an upgrade: the default of the next appliance is another one. Here the place of the
// releases differs, which is the same to it as another release.
func TestDefaultFollowsTheAppliance(t *testing.T) {
	old, next := newReleases(t), newReleases(t)
	l := newLifetime(t)
	start := func(r *releases) {
		l.start(func(c *environment.Config) {
			c.TalosReleases = r.URL + "/talos"
			c.Architectures = []string{environment.AMD64, environment.ARM64}
		})
	}
	from := func(r *releases) func(e *v1alpha2.Environment) bool {
		return func(e *v1alpha2.Environment) bool { return ready(e) && strings.HasPrefix(e.Spec.Kernel.URL, r.URL) }
	}

	start(old)
	l.await("default", "is ready", from(old))
	edited := l.await("default-arm64", "is ready", from(old))
	edited.Spec.Kernel.Args = append(edited.Spec.Kernel.Args, "talos.config=http://mine/")
	must(t, l.Update(t.Context(), edited))
	l.stop()

	missing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(missing.Close)
	start(&releases{Server: missing})
	eventually(t, "an Event tells why it waits", func(context.Context) (bool, error) {
		return strings.Contains(l.events("default"), "Warning Environment Upgrade: boots "+old.URL+"/talos/"+environment.TalosRelease+"/vmlinuz-amd64 until the new files are here: NotFound: "), nil
	})
	l.stop()

	release := next.hold()
	defer release()
	start(next)

	eventually(t, "the new files are asked for", func(context.Context) (bool, error) {
		return next.count("/talos/"+environment.TalosRelease+"/vmlinuz-amd64") == 1, nil
	})

	if e := l.await("default", "is there", func(*v1alpha2.Environment) bool { return true }); !from(old)(e) {
		t.Error("it cannot be booted before the new files are here")
	}

	release()
	l.await("default", "boots the new ones", from(next))
	eventually(t, "an Event tells of it", func(context.Context) (bool, error) {
		return strings.Contains(l.events("default"), "Normal Environment Upgrade: boots "+next.URL), nil
	})

	if e := l.await("default-arm64", "is there", ready); !from(old)(e) || e.Spec.Kernel.URL != edited.Spec.Kernel.URL || next.count("/talos/"+environment.TalosRelease+"/vmlinuz-arm64") != 0 {
		t.Errorf("an edited one became %+v", e.Spec)
	}

	// Who removes the annotation does not want it.
	e := l.await("default", "is there", ready)
	delete(e.Annotations, v1alpha2.AnnotationDefaultDigest)
	must(t, l.Update(t.Context(), e))
	l.stop()
	start(old)
	l.await("default-arm64", "is there", ready)

	must(t, l.Delete(t.Context(), edited)) // its controller has looked at it when it is back
	l.await("default-arm64", "is back", func(e *v1alpha2.Environment) bool { return e.UID != edited.UID && ready(e) })

	if e := l.await("default", "is there", ready); !from(next)(e) {
		t.Errorf("one without the annotation became %+v", e.Spec)
	}
}
