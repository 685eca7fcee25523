package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"log"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
)

// lines returns what was logged, without the times.
func lines(b *bytes.Buffer) []string {
	var out []string
	for line := range strings.Lines(b.String()) {
		if _, rest, ok := strings.Cut(line, " level="); ok {
			line = "level=" + rest
		}
		out = append(out, strings.TrimSpace(line))
	}
	b.Reset()
	return out
}

func TestOwnLines(t *testing.T) {
	var b bytes.Buffer
	log := New(Config{Writer: &b})
	log.Debug("hidden")
	log.With("bootMAC", "52:54:00:00:00:01").Info("offered", "duration", 1500*time.Millisecond, "err", errors.New("no link"))
	got := lines(&b)
	want := `level=INFO msg=offered boot_mac=52:54:00:00:00:01 duration=1.5s error="no link"`
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	New(Config{Writer: &b, JSON: true}).Warn("slow", "duration", 1500*time.Millisecond, "localMemberID", 7)
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got["level"] != "WARN" || got["msg"] != "slow" || got["duration"] != 1.5 || got["local_member_id"] != 7.0 || got["time"] == nil {
		t.Errorf("got %v", got)
	}
}

func TestSnakeCase(t *testing.T) {
	for in, want := range map[string]string{
		"server": "server", "controllerKind": "controller_kind", "local-member-id": "local_member_id", "HTTPStatus": "http_status",
		"requestURI": "request_uri", "took ms": "took_ms", "ID": "id", "a_b": "a_b", "": "",
	} {
		if got := snakeCase(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// restoreGlobals puts the process's own loggers back after the test.
func restoreGlobals(t *testing.T) {
	t.Helper()
	before, flags, writer := slog.Default(), log.Flags(), log.Writer()
	t.Cleanup(func() {
		klog.ClearLogger()
		slog.SetDefault(before)
		log.SetFlags(flags)
		log.SetOutput(writer)
	})
}

func TestLibraries(t *testing.T) {
	restoreGlobals(t)
	var b bytes.Buffer
	own := New(Config{Writer: &b, Level: slog.LevelDebug})
	CaptureLibraries(own)
	etcd := Zap(own)
	tests := []struct {
		name  string
		write func()
		want  string // empty: nothing
	}{
		{"klog information is detail", func() { klog.InfoS("Serving securely", "bindAddress", "x") },
			`level=DEBUG msg="Serving securely" component=kubernetes bind_address=x`},
		{"klog printf", func() { klog.Infof("started %d", 3) }, `level=DEBUG msg="started 3" component=kubernetes`},
		{"klog printf error", func() { klog.Errorf("[%d] lost", 3) }, `level=ERROR msg="[3] lost" component=kubernetes`},
		{"klog printf harmless", func() { klog.Warning(`namespaces "kube-system" not found`) },
			`level=DEBUG msg="namespaces \"kube-system\" not found" component=kubernetes`},
		{"klog warning", func() { klog.Warning("skew") }, `level=WARN msg=skew component=kubernetes`},
		{"klog error", func() { klog.ErrorS(errors.New("boom"), "Failed", "objectName", "a") },
			`level=ERROR msg=Failed component=kubernetes error=boom object_name=a`},
		{"klog chatter", func() { klog.V(4).Info("detail") }, ""},
		{"klog harmless", func() { klog.ErrorS(errors.New(`namespaces "kube-system" not found`), "Unable to get configmap") },
			`level=DEBUG msg="Unable to get configmap" component=kubernetes error="namespaces \"kube-system\" not found"`},
		{"controller-runtime information", func() { ctrllog.Log.WithName("server").Info("Starting", "controllerKind", "Server") },
			`level=DEBUG msg=Starting component=controllers logger=server controller_kind=Server`},
		{"controller-runtime error", func() { ctrllog.Log.Error(errors.New("boom"), "Reconciler error") },
			`level=ERROR msg="Reconciler error" component=controllers error=boom`},
		{"a conflict", func() {
			ctrllog.Log.Error(errors.New("write x: the object has been modified; please apply your changes to the latest version"), "Reconciler error")
		}, `level=DEBUG msg="Reconciler error" component=controllers error="write x: the object has been modified; please apply your changes to the latest version"`},
		{"a cluster without an API yet", func() {
			Library(own, "cluster-api").Error(errors.New("error getting client: connection to the workload cluster is down"), "Reconciler error")
		}, `level=DEBUG msg="Reconciler error" component=cluster-api error="error getting client: connection to the workload cluster is down"`},
		{"controller-runtime chatter", func() { ctrllog.Log.V(1).Info("detail") }, ""},
		{"a library's own logger", func() { Library(own, "controllers").Info("Starting workers", "worker count", 1) },
			`level=DEBUG msg="Starting workers" component=controllers worker_count=1`},
		{"zap information", func() {
			etcd.Info("ready to serve", zap.String("local-member-id", "8e"), zap.Duration("took", time.Second))
		},
			`level=DEBUG msg="ready to serve" component=etcd local_member_id=8e took=1s`},
		{"zap error with fields from before", func() {
			etcd.Named("raft").With(zap.Int("term", 2)).Error("lost", zap.Error(errors.New("boom")), zap.Strings("peers", []string{"a", "b"}))
		}, `level=ERROR msg=lost component=etcd term=2 logger=raft error=boom peers="[a b]"`},
		{"zap harmless", func() { etcd.Warn("simple token is not cryptographically signed") },
			`level=DEBUG msg="simple token is not cryptographically signed" component=etcd`},
		{"zap error at the end", func() {
			etcd.Error("setting up serving from embedded etcd failed.", zap.Error(errors.New("http: Server closed")))
		}, `level=DEBUG msg="setting up serving from embedded etcd failed." component=etcd error="http: Server closed"`},
		{"zap the same error for another reason", func() {
			etcd.Error("setting up serving from embedded etcd failed.", zap.Error(errors.New("too many open files")))
		}, `level=ERROR msg="setting up serving from embedded etcd failed." component=etcd error="too many open files"`},
		{"zap chatter", func() { etcd.Debug("detail") }, ""},
		{"standard log", func() { log.Print("http: superfluous WriteHeader") }, `level=WARN msg="http: superfluous WriteHeader" component=go`},
		{"default slog", func() { slog.Warn("stray") }, `level=WARN msg=stray component=go`},
		{"a harmless line of one library is none of another's", func() { klog.Warning("simple token is not cryptographically signed") },
			`level=WARN msg="simple token is not cryptographically signed" component=kubernetes`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.write()
			got := strings.Join(lines(&b), "\n")
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestHarmlessLinesAreHiddenByDefault(t *testing.T) {
	var b bytes.Buffer
	etcd := Zap(New(Config{Writer: &b}))
	etcd.Info("information")
	etcd.Warn("simple token is not cryptographically signed")
	etcd.Warn("disk is slow")
	got := lines(&b)
	if len(got) != 1 || !strings.Contains(got[0], "disk is slow") {
		t.Errorf("got %q, want the slow disk only", got)
	}
}

func TestEveryHarmlessLineHasAReason(t *testing.T) {
	for _, r := range harmless() {
		if r.component == "" || len(r.parts) == 0 || r.reason == "" {
			t.Errorf("incomplete rule %+v", r)
		}
	}
}
