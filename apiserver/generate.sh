#!/bin/sh
# Generates deep copies and OpenAPI definitions of the native API types, below the folder given (default: the repository
# that this script lies in).
set -eu

root=$(cd "${1:-$(dirname "$0")/..}" && pwd)
module=$(cd "$root" && go list -m)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
: >"$scratch/header.txt"
cd "$root"

groups=$(find ./apiserver/apis -name doc.go -exec dirname {} \; | sort)

# shellcheck disable=SC2086 # one argument for each package
go tool deepcopy-gen --go-header-file "$scratch/header.txt" --output-file zz_generated.deepcopy.go $groups

# shellcheck disable=SC2086
go tool openapi-gen --go-header-file "$scratch/header.txt" --report-filename "$scratch/violations.txt" \
	--output-dir apiserver/openapi --output-pkg "$module/apiserver/openapi" \
	--output-file zz_generated.openapi.go --output-model-name-file zz_generated.model_name.go $groups

# The generator names Kubernetes's own types by their Go path unless their packages are given to it as well, and then it
# writes into the module cache. The API server knows them by their model names.
sed -i \
	-e 's#"k8s\.io/apimachinery/pkg/apis/meta/v1\.#"io.k8s.apimachinery.pkg.apis.meta.v1.#g' \
	-e 's#"k8s\.io/apimachinery/pkg/api/resource\.#"io.k8s.apimachinery.pkg.api.resource.#g' \
	-e 's#"k8s\.io/apimachinery/pkg/util/intstr\.#"io.k8s.apimachinery.pkg.util.intstr.#g' \
	-e 's#"k8s\.io/api/core/v1\.#"io.k8s.api.core.v1.#g' \
	-e 's#"k8s\.io/apiextensions-apiserver/pkg/apis/apiextensions/v1\.#"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.#g' \
	apiserver/openapi/zz_generated.openapi.go
