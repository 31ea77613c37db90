#!/usr/bin/env bash
# Builds Jaeger from Go packages, at the version go.mod pins, without its pages for people (they come with its releases only).
#
#   tests/peers/jaeger/build.sh     prints the directory of the program `jaeger` on standard output
#
# Needs Go 1.25 or newer. What is there is not built again; see ../build.sh for where it goes.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${TRACEBOOK_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tracebook-peers}
version=$(sed -n 's|.*github.com/jaegertracing/jaeger v\([^ ]*\).*|\1|p' "$here/go.mod")

command -v go > /dev/null || { echo "build.sh: Go is missing" >&2; exit 2; }

# What is asked for decides the directory: another version never meets an old build.
stamp=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -c1-12)
to=$cache/jaeger-$version-$stamp
if [[ ! -x $to/jaeger ]]; then
  echo "build.sh: building Jaeger $version in $to; this takes minutes" >&2
  begin=$SECONDS
  mkdir -p "$to"
  (cd "$here" && go build -trimpath -ldflags='-s -w' -o "$to/jaeger.new" github.com/jaegertracing/jaeger/cmd/jaeger) >&2
  mv "$to/jaeger.new" "$to/jaeger"
  echo "build.sh: built in $((SECONDS - begin)) s with $(go env GOVERSION)" >&2
fi
echo "$to"
