#!/usr/bin/env bash
# Tests against real servers: builds the peers, then runs the tests of tests/peers/, which start and stop them on free ports of
# the loopback. Fails where a peer cannot be built or does not start.
#
#   tests/peers/run.sh [arguments for cargo test, e.g. --no-default-features]
#
# Needs Go 1.25 or newer and Python 3 with venv; fetches packages with the ordinary clients of Go and PyPI. Where
# TRACEBOOK_TEMPO_BIN names a Tempo, it takes part in the joint test.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${TRACEBOOK_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/tracebook-peers}

command -v go > /dev/null || { echo "run.sh: Go is missing: install Go 1.25 or newer" >&2; exit 2; }
go env GOVERSION | awk -F'[go.]+' '{ exit !($2 > 1 || $2 == 1 && $3 >= 25) }' ||
  { echo "run.sh: $(go env GOVERSION) is too old: install Go 1.25 or newer" >&2; exit 2; }

jaeger=$("$here/jaeger/build.sh")
collector=$("$here/build.sh")

sdk=$cache/sdk-$(sha256sum "$here/sdk/requirements.txt" | cut -c1-12)
if [[ ! -e $sdk/complete ]]; then
  python3 -m venv "$sdk"
  "$sdk/bin/pip" install --quiet --disable-pip-version-check -r "$here/sdk/requirements.txt"
  touch "$sdk/complete"
fi

# One directory with every program under its plain name.
bin=$cache/bin
mkdir -p "$bin"
ln -sfn "$jaeger/jaeger" "$bin/jaeger"
ln -sfn "$collector/collector" "$bin/collector"
printf '#!/bin/sh\nexec "%s/bin/python" "$@"\n' "$sdk" > "$bin/python.new"
chmod +x "$bin/python.new"
mv "$bin/python.new" "$bin/python"

cd "$here/../.."
cargo run "$@" --quiet --example shop -- --traces 1000 --seed 5 --sample 0.5 --skew 3ms --orphans 0.02 --rootless 0.02 \
  --duplicates 0.02 --output "$bin/shop.jsonl.zst"
TRACEBOOK_PEERS_BIN=$bin cargo test "$@" --test peers -- --ignored
