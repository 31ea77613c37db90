#!/usr/bin/env bash
# Installs Prometheus and captures from a real one, filled with known series. Fails when it cannot be started.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v "${PROMETHEUS:-prometheus}" >/dev/null; then
  apt-get update -qq
  # The package would start a service on port 9090 where there is a service manager; the test starts its own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null
fi
"${PROMETHEUS:-prometheus}" --version 2>&1 | head -n 1
cargo test --locked "$@" --test prometheus -- --ignored
