package encryption_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	reloader "k8s.io/apiserver/pkg/server/options/encryptionconfig/controller"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/sidero-appliance/sidero-appliance/apiserver/apitest"
	"github.com/sidero-appliance/sidero-appliance/apiserver/encryption"
	"github.com/sidero-appliance/sidero-appliance/storage"
)

// marker is what must be nowhere on the disk.
const marker = "the-password-that-nobody-may-find"

func TestMain(m *testing.M) {
	reloader.EncryptionConfigFileChangePollDuration = 50 * time.Millisecond // upstream's knob for tests; a minute otherwise
	os.Exit(m.Run())
}

// home is a data directory. The control plane on it runs for a subtest.
type home struct {
	dir     string
	file    string
	servers []string
}

func newHome(t *testing.T) home {
	t.Helper()

	dir := t.TempDir()
	etcd, err := storage.New(storage.Config{Dir: filepath.Join(dir, "etcd"), Logger: zap.NewNop()})
	must(t, err)

	return home{dir: dir, file: filepath.Join(dir, "pki", "encryption.yaml"), servers: etcd.Endpoint().Servers}
}

func (h home) rotation(plane *apitest.Plane) encryption.Rotation {
	return encryption.Rotation{File: h.file, Client: plane.Admin, Database: h.servers, Logger: slog.New(slog.DiscardHandler)}
}

// values are the Secrets as the database holds them.
func (h home) values(t *testing.T) map[string]string {
	t.Helper()

	client := h.etcd(t)
	answer, err := client.Get(t.Context(), "/registry/secrets/", clientv3.WithPrefix())
	must(t, err)

	found := map[string]string{}
	for _, pair := range answer.Kvs {
		found[string(pair.Key)] = string(pair.Value)
	}

	return found
}

func (h home) etcd(t *testing.T) *clientv3.Client {
	t.Helper()

	client, err := clientv3.New(clientv3.Config{Endpoints: h.servers, Logger: zap.NewNop(), DialTimeout: time.Minute})
	must(t, err)
	t.Cleanup(func() { client.Close() })

	return client
}

// allUnder fails unless every Secret is encrypted with the one key that the file holds.
func (h home) allUnder(t *testing.T, key string, want int) {
	t.Helper()

	content, err := os.ReadFile(h.file)
	must(t, err)

	keys, err := encryption.Parse(content)
	must(t, err)

	if keys.Rotating() || keys.Plain || keys.Newest() != key {
		t.Errorf("the file has key %s, rotating %t, plain %t; want %s alone", keys.Newest(), keys.Rotating(), keys.Plain, key)
	}

	values := h.values(t)
	if len(values) != want {
		t.Errorf("the database has %d secrets, want %d", len(values), want)
	}

	for path, value := range values {
		if !strings.HasPrefix(value, "k8s:enc:secretbox:v1:"+key+":") || strings.Contains(value, marker) {
			t.Errorf("%s begins with %q", path, value[:min(len(value), 40)])
		}
	}
}

func secrets(count int) []*corev1.Secret {
	all := make([]*corev1.Secret, count)
	for i := range all {
		all[i] = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("secret-%d", i), Namespace: metav1.NamespaceDefault},
			Data:       map[string][]byte{"password": fmt.Appendf(nil, "%s-%d", marker, i)},
			Immutable:  ptr.To(i%2 == 1),
		}
	}

	return all
}

func create(t *testing.T, plane *apitest.Plane, all []*corev1.Secret) {
	t.Helper()

	for _, secret := range all {
		_, err := kubernetes.NewForConfigOrDie(plane.Admin).CoreV1().Secrets(secret.Namespace).Create(t.Context(), secret, metav1.CreateOptions{})
		must(t, err)
	}
}

// readable fails unless the API gives the Secrets as they were made.
func readable(t *testing.T, plane *apitest.Plane, all []*corev1.Secret) {
	t.Helper()

	for _, want := range all {
		got, err := kubernetes.NewForConfigOrDie(plane.Admin).CoreV1().Secrets(want.Namespace).Get(t.Context(), want.Name, metav1.GetOptions{})
		must(t, err)

		if diff := cmp.Diff(want.Data, got.Data); diff != "" {
			t.Errorf("%s: %s", want.Name, diff)
		}
	}
}

// onDisk tells whether a text is in any of the database's files.
func (h home) onDisk(t *testing.T, text string) bool {
	t.Helper()

	found := false

	must(t, filepath.WalkDir(filepath.Join(h.dir, "etcd"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}

		content, err := os.ReadFile(path)
		found = found || bytes.Contains(content, []byte(text))

		return err
	}))

	return found
}

func TestEncryption(t *testing.T) {
	h, all := newHome(t), secrets(5)
	last := ""

	t.Run("fresh", func(t *testing.T) {
		plane := apitest.StartIn(t, h.dir)
		create(t, plane, all)

		plain := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "plain"}, Data: map[string]string{"k": "what-anybody-may-find"}}
		_, err := kubernetes.NewForConfigOrDie(plane.Admin).CoreV1().ConfigMaps("default").Create(t.Context(), plain, metav1.CreateOptions{})
		must(t, err)

		if !h.onDisk(t, "what-anybody-may-find") {
			t.Error("a config map is not found on the disk: looking for a secret proves nothing")
		}

		if h.onDisk(t, marker) {
			t.Error("a secret lies on the disk in plain text")
		}

		info, err := os.Stat(h.file)
		must(t, err)

		if info.Mode().Perm() != 0o600 {
			t.Errorf("the keys have mode %v, want 0600", info.Mode())
		}
	})

	t.Run("rotated", func(t *testing.T) {
		plane := apitest.StartIn(t, h.dir)

		for range 2 {
			before := h.values(t)
			result, err := h.rotation(plane).Run(t.Context())
			must(t, err)

			if result.Key == last || result.Resumed || result.Rewritten != len(all) {
				t.Errorf("%+v after key %q", result, last)
			}

			last = result.Key
			h.allUnder(t, last, len(all))

			for path, value := range h.values(t) {
				if before[path] == value {
					t.Errorf("%s was not written again", path)
				}
			}
		}

		readable(t, plane, all)
	})

	t.Run("restarted", func(t *testing.T) {
		readable(t, apitest.StartIn(t, h.dir), all)
		h.allUnder(t, last, len(all))
	})
}

// TestMigration begins with a database from before there were keys.
func TestMigration(t *testing.T) {
	h, old := newHome(t), secrets(1)
	old[0].UID, old[0].CreationTimestamp = "of-before", metav1.Now()
	old[0].TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}

	t.Run("written before", func(t *testing.T) {
		etcd, err := storage.New(storage.Config{Dir: filepath.Join(h.dir, "etcd"), Logger: zap.NewNop()})
		must(t, err)
		apitest.Run(t, etcd)

		value, err := json.Marshal(old[0])
		must(t, err)
		_, err = h.etcd(t).Put(t.Context(), "/registry/secrets/default/secret-0", string(value))
		must(t, err)
	})

	plane := apitest.StartIn(t, h.dir)
	readable(t, plane, old)

	result, err := h.rotation(plane).Run(t.Context())
	must(t, err)
	readable(t, plane, old)
	h.allUnder(t, result.Key, 1)
}

// TestLostKey takes the file from under a database that needs it.
func TestLostKey(t *testing.T) {
	h := newHome(t)
	plane := apitest.StartIn(t, h.dir)

	elsewhere := filepath.Join(t.TempDir(), "encryption.yaml")
	must(t, encryption.Ensure(t.Context(), elsewhere, h.servers)) // nothing is encrypted yet
	must(t, os.Remove(elsewhere))

	create(t, plane, secrets(1))

	err := encryption.Ensure(t.Context(), elsewhere, h.servers)
	if err == nil || !strings.Contains(err.Error(), "secret default/secret-0 in the database is encrypted with it, and "+elsewhere+" is missing: restore") {
		t.Errorf("got %v", err)
	}

	if _, err := os.Stat(elsewhere); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key was made all the same: %v", err)
	}
}

// TestInterruptedRotation cuts rotations short at ever later moments, while somebody goes on writing.
func TestInterruptedRotation(t *testing.T) {
	h, all := newHome(t), secrets(40)
	plane := apitest.StartIn(t, h.dir)
	create(t, plane, all)

	cut := 0

	for after := time.Millisecond; ; after += 20 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		_, err := h.rotation(plane).Run(ctx)

		cancel()
		readable(t, plane, all)

		if err == nil {
			break
		}

		cut++

		more := secrets(len(all) + 1)[len(all):]
		create(t, plane, more)
		all = append(all, more...)
	}

	if cut < 2 {
		t.Errorf("only %d rotations were cut short: nothing is proven", cut)
	}

	result, err := h.rotation(plane).Run(t.Context())
	must(t, err)
	readable(t, plane, all)
	h.allUnder(t, result.Key, len(all))
}

// TestResumedRotation finishes with the new key of the rotation before.
func TestResumedRotation(t *testing.T) {
	h, all := newHome(t), secrets(3)
	plane := apitest.StartIn(t, h.dir)
	create(t, plane, all)

	content, err := os.ReadFile(h.file)
	must(t, err)
	first, err := encryption.Parse(content)
	must(t, err)
	newer, err := encryption.First()
	must(t, err)
	content, err = first.With(newer.Secretbox[0]).Marshal()
	must(t, err)
	must(t, os.WriteFile(h.file, content, 0o600)) // where a crash left it

	result, err := h.rotation(plane).Run(t.Context())
	must(t, err)

	if !result.Resumed || result.Key != newer.Newest() || result.Rewritten != len(all) {
		t.Errorf("got %+v, want key %s", result, newer.Newest())
	}

	h.allUnder(t, newer.Newest(), len(all))
}

// TestRotationsAtOnce lets one win; the others say why not, or come after it.
func TestRotationsAtOnce(t *testing.T) {
	h, all := newHome(t), secrets(3)
	plane := apitest.StartIn(t, h.dir)
	create(t, plane, all)

	const runs = 4

	var (
		running sync.WaitGroup
		errs    [runs]error
	)

	for i := range runs {
		running.Go(func() { _, errs[i] = h.rotation(plane).Run(t.Context()) })
	}

	running.Wait()

	won := 0

	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !strings.Contains(err.Error(), "another rotation is under way"):
			t.Error(err)
		}
	}

	if won == 0 {
		t.Error("none won")
	}

	readable(t, plane, all)
}

func TestRotationNeedsTheAppliance(t *testing.T) {
	h := newHome(t)

	var stopped encryption.Rotation

	t.Run("once", func(t *testing.T) { stopped = h.rotation(apitest.StartIn(t, h.dir)) })

	before, err := os.ReadFile(h.file)
	must(t, err)

	if _, err := stopped.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}

	after, err := os.ReadFile(h.file)
	must(t, err)

	if !bytes.Equal(before, after) {
		t.Error("the keys were changed")
	}
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}
