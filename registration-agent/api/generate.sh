#!/bin/sh
# Generates *.pb.go from agent.proto, facts.proto and orders.proto. The plugins are the
# tools pinned in go.mod; protoc (Debian: protobuf-compiler) only parses, so its
# version, the one thing that differs between machines, is dropped from the output.
set -eu

# From the repository's root: the path is the file's name in the process-wide
# registry of protobuf files, where a bare agent.proto could meet another.
cd "$(dirname "$0")/../.."
plugins=$(mktemp -d)
trap 'rm -rf "$plugins"' EXIT

for plugin in protoc-gen-go protoc-gen-go-grpc; do
	cp "$(go tool -n "$plugin")" "$plugins/$plugin"
done

protoc --plugin="$plugins/protoc-gen-go" --plugin="$plugins/protoc-gen-go-grpc" \
	--go_out=. --go_opt=paths=source_relative \
	--go-grpc_out=. --go-grpc_opt=paths=source_relative \
	registration-agent/api/agent.proto registration-agent/api/facts.proto registration-agent/api/orders.proto

sed -i '/^\/\/ .*\<protoc  *v[0-9]/d' registration-agent/api/*.pb.go
