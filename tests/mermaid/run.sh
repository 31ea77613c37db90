#!/usr/bin/env bash
# usage: run.sh TRACEBOOK
# Has the real mermaid package parse every diagram of a generated directory, and the hostile cases kept here.
set -euo pipefail
binary=$(realpath "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm ci --no-audit --no-fund --silent
npm test --silent
"$binary" generate --config ../../examples/onlineboutique/tracebook.yaml --output "$work/pages"
"$binary" graph --from "$work/pages" --format mermaid > "$work/graph.mmd"
{ printf '```mermaid\n'; cat "$work/graph.mmd"; printf '```\n'; } > "$work/pages/graph.md"
node check.mjs "$work/pages"
