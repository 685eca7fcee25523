package api

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// IdentityKey is the metadata that carries an Identity. Its suffix has gRPC encode it, as binary.
const IdentityKey = "sidero-appliance-identity-bin"

// maxIdentity is the longest Identity, in bytes: some hundred network adapters.
const maxIdentity = 8 << 10

// WithIdentity has the calls that are made with the context tell who makes them.
func WithIdentity(ctx context.Context, identity *Identity) (context.Context, error) {
	bytes, err := proto.Marshal(identity)
	if err != nil {
		return ctx, fmt.Errorf("encode identity: %w", err)
	}

	return metadata.AppendToOutgoingContext(ctx, IdentityKey, string(bytes)), nil
}

// IdentityOf is who makes a call; nil if the call does not tell.
func IdentityOf(ctx context.Context) (*Identity, error) {
	values := metadata.ValueFromIncomingContext(ctx, IdentityKey)

	switch {
	case len(values) == 0:
		return nil, nil //nolint:nilnil // there is none
	case len(values) > 1:
		return nil, errors.New("the call has several identities")
	case len(values[0]) > maxIdentity:
		return nil, fmt.Errorf("the identity is %d bytes long, at most %d are allowed", len(values[0]), maxIdentity)
	}

	identity := &Identity{}
	if err := proto.Unmarshal([]byte(values[0]), identity); err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}

	return identity, nil
}
