#!/usr/bin/env bash
# Peak memory and speed of `tracebook capture` over a large OTLP JSON lines file made on the spot.
#
#   benches/memory.sh            2 GB (10^9) on disk, fails above 512 MiB
#   BYTES=500000000 LIMIT_MIB=256 benches/memory.sh
#   PIPE=1 BYTES=20000000000 benches/memory.sh     through standard input: needs no room for the file
#
# TRACEBOOK and SHOP name the two programs; without them both are built (release, without the span archive).
# Needs GNU time. Disk use is bounded by BYTES plus what the capture spills, and is given back at the end.
set -euo pipefail

bytes=${BYTES:-2000000000}
limit_mib=${LIMIT_MIB:-512}
here=$(cd "$(dirname "$0")/.." && pwd)

if [[ ! -x /usr/bin/time ]]; then
  echo "memory.sh: GNU time is missing (/usr/bin/time)" >&2
  exit 2
fi

if [[ -z ${TRACEBOOK:-} || -z ${SHOP:-} ]]; then
  cargo build --release --no-default-features --bin tracebook --example shop --manifest-path "$here/Cargo.toml"
  target=$(cargo metadata --format-version 1 --no-deps --manifest-path "$here/Cargo.toml" |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
  TRACEBOOK=${TRACEBOOK:-$target/release/tracebook}
  SHOP=${SHOP:-$target/release/examples/shop}
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/tracebook-memory.XXXXXX")
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/spill"

# The file, and as much again for what is spilled.
[[ -n ${PIPE:-} ]] && needed=$bytes || needed=$((bytes * 2))
free=$(($(df --output=avail -k "$dir" | tail -n 1) * 1024))
if ((free < needed)); then
  echo "memory.sh: $dir has $((free >> 20)) MiB free, $((needed >> 20)) are needed; set TMPDIR or BYTES" >&2
  exit 2
fi

make=("$SHOP" --seed 1 --bytes "$bytes" --duplicates 0.005 --orphans 0.005 --expect "$dir/truth.json")
capture=(env TMPDIR="$dir/spill" /usr/bin/time -o "$dir/time" -f '%M %e %U %S'
  "$TRACEBOOK" capture --output "$dir/out.snapshot.json")

if [[ -n ${PIPE:-} ]]; then
  "${make[@]}" | "${capture[@]}" --from -
else
  "${make[@]}" --output "$dir/spans.otlp.jsonl"
  "${capture[@]}" --from "$dir/spans.otlp.jsonl"
fi

count() { grep -m 1 "\"$1\": [0-9]" "$2" | tr -dc 0-9; }
want=$(count spans "$dir/truth.json")
# The first `spans` of the snapshot's coverage.
sed -n '/"coverage"/,$p' "$dir/out.snapshot.json" > "$dir/coverage.json"
got=$(count spans "$dir/coverage.json")

read -r kib seconds user system < "$dir/time"
awk -v kib="$kib" -v s="$seconds" -v u="$user" -v sys="$system" -v n="$want" -v b="$bytes" -v limit="$limit_mib" 'BEGIN {
  if (s <= 0) s = 0.01
  printf "spans            %d\n", n
  printf "bytes            %.2f GB of JSON\n", b / 1e9
  printf "peak memory      %.0f MiB (limit %d MiB)\n", kib / 1024, limit
  printf "wall, cpu        %.1f s, %.1f s\n", s, u + sys
  printf "throughput       %.0f spans/s, %.0f MB/s\n", n / s, b / s / 1e6
}'

if [[ $got != "$want" ]]; then
  echo "memory.sh: the snapshot holds $got spans, $want were generated" >&2
  exit 1
fi
if ((kib > limit_mib * 1024)); then
  echo "memory.sh: more than $limit_mib MiB" >&2
  exit 1
fi
