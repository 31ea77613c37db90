#!/usr/bin/env bash
# Builds an OpenTelemetry Collector, assembled by the Collector's own builder from Go packages, which tests send through and benches
# compare with, and the loader that feeds it in benches.
#
#   tests/peers/build.sh            prints the directory of the programs on standard output
#
# Needs Go 1.25 or newer and the packages it fetches with the ordinary Go client. Everything goes into
# ${TRACEBOOK_PEERS:-${XDG_CACHE_HOME:-~/.cache}/tracebook-peers}, nothing into the repository; what is there is not built again.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${TRACEBOOK_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tracebook-peers}
version=$(sed -n 's/^  version: //p' "$here/collector/builder.yaml")

command -v go > /dev/null || { echo "build.sh: Go is missing" >&2; exit 2; }

# What is asked for decides the directory: another version never meets an old build.
stamp=$(cat "$here/collector/builder.yaml" "$here"/loader/* | sha256sum | cut -c1-12)
to=$cache/collector-$version-$stamp
if [[ ! -x $to/collector || ! -x $to/loader ]]; then
  echo "build.sh: building the OpenTelemetry Collector $version in $to; this takes minutes" >&2
  begin=$SECONDS
  mkdir -p "$to/bin" "$to/src"
  GOBIN=$to/bin go install "go.opentelemetry.io/collector/cmd/builder@v$version" >&2
  sed "s|OUTPUT|$to/src|" "$here/collector/builder.yaml" > "$to/builder.yaml"
  "$to/bin/builder" --config "$to/builder.yaml" > "$to/build.log" 2>&1 || { tail -n 30 "$to/build.log" >&2; exit 1; }
  (cd "$here/loader" && go build -trimpath -o "$to/loader.new" .) >&2
  cp "$to/src/otelcol-servicegraph" "$to/collector.new"
  mv "$to/loader.new" "$to/loader"
  mv "$to/collector.new" "$to/collector"
  rm -rf "$to/src" "$to/bin"
  echo "build.sh: built in $((SECONDS - begin)) s with $(go env GOVERSION)" >&2
fi
echo "$to"
