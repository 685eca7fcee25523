package encryption

import (
	"context"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	// secretsPrefix is where the API server keeps Secrets, as <namespace>/<name>.
	secretsPrefix = "/registry/secrets/"
	// encrypted begins every encrypted value, boxed those of secretbox; the key's name and a colon follow.
	encrypted = "k8s:enc:"
	boxed     = encrypted + "secretbox:v1:"

	answersWithin = 10 * time.Second
	pageSize      = 200
)

// database reads how Secrets lie in etcd.
type database struct{ client *clientv3.Client }

func openDatabase(ctx context.Context, servers []string) (*database, error) {
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: servers, Logger: zap.NewNop()})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd: %w", err)
	}

	return &database{client: client}, nil
}

func (d *database) close() { d.client.Close() } //nolint:errcheck // nothing was written through it

// stored is how one Secret lies in the database.
type stored struct {
	namespace, name string
	encrypted       bool
	// key is the name of the secretbox key, empty when it is not encrypted, or by something else.
	key string
}

// secrets visits every Secret.
func (d *database) secrets(ctx context.Context, visit func(stored)) error {
	from, end := secretsPrefix, clientv3.GetPrefixRangeEnd(secretsPrefix)

	for {
		page, err := d.get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize))
		if err != nil {
			return err
		}

		for _, pair := range page.Kvs {
			visit(newStored(string(pair.Key), pair.Value))
		}

		if !page.More {
			return nil
		}

		from = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
}

// secret looks at one Secret.
func (d *database) secret(ctx context.Context, namespace, name string) (stored, error) {
	key := secretsPrefix + namespace + "/" + name

	answer, err := d.get(ctx, key)
	if err != nil {
		return stored{}, err
	}

	if len(answer.Kvs) == 0 {
		return stored{}, fmt.Errorf("find secret %s/%s in etcd: it is not there", namespace, name)
	}

	return newStored(key, answer.Kvs[0].Value), nil
}

func (d *database) get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()

	answer, err := d.client.Get(ctx, key, options...)
	if err != nil {
		return nil, fmt.Errorf("read from etcd: %w", err)
	}

	return answer, nil
}

func newStored(key string, value []byte) stored {
	var s stored

	s.namespace, s.name, _ = strings.Cut(strings.TrimPrefix(key, secretsPrefix), "/")
	head := string(value[:min(len(value), len(boxed)+128)]) // a key's name is short

	s.encrypted = strings.HasPrefix(head, encrypted)
	if rest, ok := strings.CutPrefix(head, boxed); ok {
		s.key, _, _ = strings.Cut(rest, ":")
	}

	return s
}
