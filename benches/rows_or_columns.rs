//! Rows or columns for spans between decoding and pairing? Prints the ratio that ADR 0002 rests on.
//!
//! The work is what the topology does with spans: scatter batches into 64 partitions by trace, then per partition find each
//! span's parent by id (a random gather) and add calls, errors and durations to a table by (caller, callee, operation).
//! Row-wise moves [`SpanRow`]s; column-wise moves the same twelve fields in twelve vectors. Both must reach
//! the same sums.
//!
//! `cargo bench --bench rows_or_columns`; `ROWS=4000000` for another size.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use tracebook::spans::{ErrorId, PeerId, ResourceId, SpanFlags, SpanId, SpanKind, SpanRow, Sym, TraceId, Weight};

const PARTITIONS: usize = 64;
/// Spans that arrive together, as from one export request.
const BATCH: usize = 512;
const ROUNDS: usize = 7;
const RESOURCES: usize = 64;
const NAMES: usize = 256;

/// SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Traces of 16 spans, 64 of them interleaved as exporters do; children before and after their parents.
fn rows(count: usize) -> Vec<SpanRow> {
    (0..count as u64)
        .map(|i| {
            let (trace, span) = (i / 1024 * 64 + i % 64, mix(i));
            let parent = i / 1024 * 1024 + i % 64 + mix(i ^ 7) % 16 * 64;
            SpanRow {
                trace_id: TraceId(u128::from(mix(trace)) << 64 | u128::from(mix(trace ^ 1))),
                span_id: SpanId(span | 1),
                parent_id: if parent == i { SpanId::NONE } else { SpanId(mix(parent) | 1) },
                start: 1_793_610_000_000_000_000 + i * 1000,
                end: 1_793_610_000_000_000_000 + i * 1000 + span % 50_000_000,
                weight: Weight::ONE,
                name: Sym((span >> 20) as u32 % NAMES as u32),
                resource: ResourceId((span >> 40) as u32 % RESOURCES as u32),
                peer: PeerId((span >> 50) as u32 % 8),
                error: ErrorId(0),
                kind: SpanKind::from_otlp((span % 6) as i32),
                flags: SpanFlags(u8::from(span % 50 == 0)),
            }
        })
        .collect()
}

fn partition(trace: TraceId) -> usize {
    (mix(trace.0 as u64) % PARTITIONS as u64) as usize
}

/// Calls, errors and nanoseconds per (caller's resource, own resource, name).
#[derive(Clone, PartialEq, Eq, Debug)]
struct Sums(Vec<[u64; 3]>);

impl Sums {
    fn new() -> Self {
        Self(vec![[0; 3]; RESOURCES * NAMES * 2])
    }

    fn add(&mut self, caller: ResourceId, own: ResourceId, name: Sym, failed: bool, weight: Weight, time: u64) {
        let key = (own.0 as usize * NAMES + name.0 as usize) * 2 + usize::from(caller == own);
        let cell = &mut self.0[key];
        cell[0] += weight.micro();
        cell[1] += if failed { weight.micro() } else { 0 };
        cell[2] += time;
    }
}

/// (scatter, gather and aggregate).
type Times = (Duration, Duration);

fn by_rows(rows: &[SpanRow]) -> (Sums, Times) {
    let begin = Instant::now();
    let mut parts: Vec<Vec<SpanRow>> = vec![Vec::new(); PARTITIONS];
    for batch in rows.chunks(BATCH) {
        for row in batch {
            parts[partition(row.trace_id)].push(*row);
        }
    }
    black_box(&parts);
    let scattered = begin.elapsed();
    let mut sums = Sums::new();
    for part in &parts {
        let mut index: HashTable<u32> = HashTable::with_capacity(part.len());
        for (i, row) in part.iter().enumerate() {
            index.insert_unique(mix(row.span_id.0 ^ row.trace_id.0 as u64), i as u32, |&i| {
                mix(part[i as usize].span_id.0 ^ part[i as usize].trace_id.0 as u64)
            });
        }
        for row in part {
            let hash = mix(row.parent_id.0 ^ row.trace_id.0 as u64);
            let same =
                |&i: &u32| part[i as usize].span_id == row.parent_id && part[i as usize].trace_id == row.trace_id;
            let parent = index.find(hash, same).map_or(row, |&i| &part[i as usize]);
            let pairs = parent.kind.calls_out() && row.kind.is_called();
            let time = if pairs { parent.end.saturating_sub(parent.start) } else { row.duration() };
            sums.add(parent.resource, row.resource, row.name, row.failed(), row.weight, time);
        }
    }
    (sums, (scattered, begin.elapsed() - scattered))
}

#[derive(Default, Clone)]
struct Columns {
    trace_id: Vec<TraceId>,
    span_id: Vec<SpanId>,
    parent_id: Vec<SpanId>,
    start: Vec<u64>,
    end: Vec<u64>,
    weight: Vec<Weight>,
    name: Vec<Sym>,
    resource: Vec<ResourceId>,
    peer: Vec<PeerId>,
    error: Vec<ErrorId>,
    kind: Vec<SpanKind>,
    flags: Vec<SpanFlags>,
}

impl Columns {
    fn of(rows: &[SpanRow]) -> Self {
        let mut all = Self::default();
        for row in rows {
            all.trace_id.push(row.trace_id);
            all.span_id.push(row.span_id);
            all.parent_id.push(row.parent_id);
            all.start.push(row.start);
            all.end.push(row.end);
            all.weight.push(row.weight);
            all.name.push(row.name);
            all.resource.push(row.resource);
            all.peer.push(row.peer);
            all.error.push(row.error);
            all.kind.push(row.kind);
            all.flags.push(row.flags);
        }
        all
    }
}

/// Column by column within each batch: where each span goes first, then one pass over each column.
fn by_columns(all: &Columns) -> (Sums, Times) {
    fn scatter<T: Copy>(parts: &mut [Vec<T>], column: &[T], to: &[u8]) {
        for (value, to) in column.iter().zip(to) {
            parts[*to as usize].push(*value);
        }
    }
    fn empty<T: Clone>() -> Vec<Vec<T>> {
        vec![Vec::new(); PARTITIONS]
    }
    let begin = Instant::now();
    let (mut trace_id, mut span_id, mut parent_id) = (empty(), empty(), empty());
    let (mut start, mut end, mut weight, mut name) = (empty(), empty(), empty(), empty());
    let (mut resource, mut peer, mut error, mut kind, mut flags) = (empty(), empty(), empty(), empty(), empty());
    let mut to: Vec<u8> = Vec::new();
    for first in (0..all.trace_id.len()).step_by(BATCH) {
        let batch = first..(first + BATCH).min(all.trace_id.len());
        to.clear();
        to.extend(all.trace_id[batch.clone()].iter().map(|t| partition(*t) as u8));
        scatter(&mut trace_id, &all.trace_id[batch.clone()], &to);
        scatter(&mut span_id, &all.span_id[batch.clone()], &to);
        scatter(&mut parent_id, &all.parent_id[batch.clone()], &to);
        scatter(&mut start, &all.start[batch.clone()], &to);
        scatter(&mut end, &all.end[batch.clone()], &to);
        scatter(&mut weight, &all.weight[batch.clone()], &to);
        scatter(&mut name, &all.name[batch.clone()], &to);
        scatter(&mut resource, &all.resource[batch.clone()], &to);
        scatter(&mut peer, &all.peer[batch.clone()], &to);
        scatter(&mut error, &all.error[batch.clone()], &to);
        scatter(&mut kind, &all.kind[batch.clone()], &to);
        scatter(&mut flags, &all.flags[batch], &to);
    }
    black_box((&peer, &error));
    let scattered = begin.elapsed();
    let mut sums = Sums::new();
    for p in 0..PARTITIONS {
        let (trace_id, span_id, parent_id) = (&trace_id[p], &span_id[p], &parent_id[p]);
        let mut index: HashTable<u32> = HashTable::with_capacity(trace_id.len());
        let hash = |i: usize| mix(span_id[i].0 ^ trace_id[i].0 as u64);
        for i in 0..trace_id.len() {
            index.insert_unique(hash(i), i as u32, |&i| hash(i as usize));
        }
        for i in 0..trace_id.len() {
            let same = |&j: &u32| span_id[j as usize] == parent_id[i] && trace_id[j as usize] == trace_id[i];
            let found = index.find(mix(parent_id[i].0 ^ trace_id[i].0 as u64), same).map_or(i, |&j| j as usize);
            let pairs = kind[p][found].calls_out() && kind[p][i].is_called();
            let timed = if pairs { found } else { i };
            let time = end[p][timed].saturating_sub(start[p][timed]);
            let failed = flags[p][i].has(SpanFlags::ERROR);
            sums.add(resource[p][found], resource[p][i], name[p][i], failed, weight[p][i], time);
        }
    }
    (sums, (scattered, begin.elapsed() - scattered))
}

fn main() {
    // `cargo test --benches` and `cargo bench -- --test` only want to see it run.
    let quick = std::env::args().any(|a| a == "--test");
    let count =
        std::env::var("ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(if quick { 10_000 } else { 1_000_000 });
    let rows = rows(count);
    let columns = Columns::of(&rows);
    let best = |times: &mut Times, new: Times| *times = (times.0.min(new.0), times.1.min(new.1));
    let (mut row_times, mut column_times) = ((Duration::MAX, Duration::MAX), (Duration::MAX, Duration::MAX));
    let mut agree = true;
    for _ in 0..ROUNDS {
        let (by_row, times) = by_rows(black_box(&rows));
        best(&mut row_times, times);
        let (by_column, times) = by_columns(black_box(&columns));
        best(&mut column_times, times);
        agree &= by_row == by_column;
    }
    let rate = |time: Duration| count as f64 / time.as_secs_f64() / 1e6;
    let mut out = std::io::stdout().lock();
    let mut line = |what: &str, row: Duration, column: Duration| {
        let ratio = column.as_secs_f64() / row.as_secs_f64();
        let _ = writeln!(out, "{what:<22} {:>8.1} {:>8.1}   {ratio:>5.2}", rate(row), rate(column));
    };
    line("scatter", row_times.0, column_times.0);
    line("gather and aggregate", row_times.1, column_times.1);
    line("both", row_times.0 + row_times.1, column_times.0 + column_times.1);
    let _ = writeln!(
        out,
        "{count} spans of {} bytes, best of {ROUNDS}; million spans/s by rows, by columns; columns' time ÷ rows' time; sums {}",
        size_of::<SpanRow>(),
        if agree { "agree" } else { "DIFFER" }
    );
    if !agree {
        std::process::exit(1);
    }
}
