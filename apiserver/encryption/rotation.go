package encryption

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

const (
	// The probe is a Secret of no content that shows which key the API server encrypts with.
	probeNamespace = metav1.NamespaceSystem
	probeName      = "sidero-encryption-probe"
	probePeriod    = time.Second

	// takenUpWithin is more than the minute after which the API server looks at the file.
	takenUpWithin = 3 * time.Minute

	// passes is how often the Secrets are looked through. One is enough, but when somebody restores old ones meanwhile.
	passes = 5
)

// Rotation changes the key of a running appliance, in steps of which each can be the last: a new key goes in front of the
// old one; the API server takes it up; every Secret is written again; and when the database holds none under another key,
// the old one is dropped. A rotation that was cut short is finished by the next, with the new key that is there.
type Rotation struct {
	// File is the path of the keys.
	File string
	// Client may patch every Secret.
	Client *rest.Config
	// Database are the URLs of the etcd behind the API server, of which there is one: a second one could still encrypt
	// with the key that is dropped.
	Database []string
	Logger   *slog.Logger
}

// Result is what a rotation did.
type Result struct {
	// Key is the name of the key that everything is encrypted with now.
	Key string
	// Rewritten is how many Secrets were written again.
	Rewritten int
	// Resumed tells whether an earlier rotation was finished.
	Resumed bool
}

// Run rotates the key.
func (r Rotation) Run(ctx context.Context) (Result, error) {
	unlock, err := lock(filepath.Dir(r.File))
	if err != nil {
		return Result{}, err
	}

	defer unlock()

	keys, err := load(r.File)
	if err != nil {
		return Result{}, err
	}

	s, err := r.open(ctx)
	if err != nil {
		return Result{}, err
	}

	defer s.close(ctx)

	result := Result{Resumed: keys.Rotating()}
	if !result.Resumed {
		if keys, err = r.add(keys); err != nil {
			return Result{}, err
		}
	}

	result.Key = keys.Newest()
	if result.Rewritten, err = s.rewrite(ctx, keys.Newest()); err != nil {
		return result, fmt.Errorf("%w (the old key stays; run the command again to go on)", err)
	}

	return result, save(r.File, keys.Alone())
}

// lock keeps out a second rotation, which would overwrite the key of the first. It ends with the process.
func lock(path string) (unlock func(), err error) {
	directory, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("lock keys: %w", err)
	}

	if err := unix.Flock(int(directory.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock keys in %s: another rotation is under way: %w", path, err), directory.Close())
	}

	return func() { directory.Close() }, nil //nolint:errcheck // only read
}

func (r Rotation) add(keys Keys) (Keys, error) {
	key, err := newKey()
	if err != nil {
		return Keys{}, err
	}

	keys = keys.With(key)

	return keys, save(r.File, keys)
}

// session is a rotation's view of the API and of the database behind it.
type session struct {
	database *database
	secrets  metadata.Interface
	logger   *slog.Logger
}

// open connects to both and sees to it that they belong together, before anything is changed.
func (r Rotation) open(ctx context.Context) (*session, error) {
	objects, err := metadata.NewForConfig(r.Client)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}

	s := &session{secrets: objects, logger: r.Logger}
	if err := r.makeProbe(ctx); err != nil {
		return nil, err
	}

	if s.database, err = openDatabase(ctx, r.Database); err != nil {
		return nil, err
	}

	if _, err := s.database.secret(ctx, probeNamespace, probeName); err != nil {
		s.close(ctx)

		return nil, err
	}

	return s, nil
}

func (r Rotation) makeProbe(ctx context.Context) error {
	clients, err := kubernetes.NewForConfig(r.Client)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}

	probe := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: probeName}}
	if _, err := clients.CoreV1().Secrets(probeNamespace).Create(ctx, probe, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create secret %s/%s: %w", probeNamespace, probeName, err)
	}

	return nil
}

// close deletes the probe also when ctx has ended; one that stays is used by the next rotation.
func (s *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answersWithin)
	defer cancel()

	if err := s.in(probeNamespace).Delete(ctx, probeName, metav1.DeleteOptions{}); err != nil {
		s.logger.Warn("cannot delete the probe", "error", err)
	}

	s.database.close()
}

func (s *session) in(namespace string) metadata.ResourceInterface {
	return s.secrets.Resource(corev1.SchemeGroupVersion.WithResource(resource)).Namespace(namespace)
}

// rewrite brings every Secret under the key and returns how many it wrote.
func (s *session) rewrite(ctx context.Context, key string) (int, error) {
	if err := s.await(ctx, key); err != nil {
		return 0, err
	}

	rewritten := 0

	for range passes {
		others, err := s.others(ctx, key)
		if err != nil {
			return rewritten, err
		}

		if len(others) == 0 {
			return rewritten, nil
		}

		s.logger.Info("writing secrets again", "secrets", len(others))

		for _, other := range others {
			if err := s.touch(ctx, other.namespace, other.name); err != nil {
				return rewritten, err
			}

			rewritten++
		}
	}

	return rewritten, errors.New("write secrets again: something goes on writing them under an old key")
}

// await waits until the API server encrypts with the key.
func (s *session) await(ctx context.Context, key string) error {
	s.logger.Info("waiting for the API server to take up the new key, up to a minute", "key", key)

	err := wait.PollUntilContextTimeout(ctx, probePeriod, takenUpWithin, true, func(ctx context.Context) (bool, error) {
		if err := s.touch(ctx, probeNamespace, probeName); err != nil {
			return false, err
		}

		probe, err := s.database.secret(ctx, probeNamespace, probeName)

		return probe.key == key, err
	})
	if err != nil {
		return fmt.Errorf("wait for the API server to take up the new key: %w", err)
	}

	return nil
}

// others are the Secrets that are not under the key.
func (s *session) others(ctx context.Context, key string) ([]stored, error) {
	var others []stored

	err := s.database.secrets(ctx, func(secret stored) {
		if secret.key != key {
			others = append(others, secret)
		}
	})

	return others, err
}

// touch makes the API server write a Secret again, unchanged: it does so when the key in the database is not its first.
// One that was deleted meanwhile needs nothing.
func (s *session) touch(ctx context.Context, namespace, name string) error {
	_, err := s.in(namespace).Patch(ctx, name, types.MergePatchType, []byte("{}"), metav1.PatchOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("write secret %s/%s again: %w", namespace, name, err)
	}

	return nil
}
