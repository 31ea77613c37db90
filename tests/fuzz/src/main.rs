//! The fuzz targets without a fuzzer: seeded mutations of the small real files of the repository, a given number of rounds.
//!
//! Prints the bytes that fail as hexadecimal; `smoke --bytes TARGET HEX` runs them again.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use tracebook::source::{self, NoProgress, SourceOptions, SpanSink};
use tracebook::spans::SpanBatch;
use tracebook::topology::{Builder, Intake, cfg::TopologyConfig, codec};

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 3] =
    [("protobuf", tracebook_fuzz::protobuf), ("json", tracebook_fuzz::json), ("snapshot", tracebook_fuzz::snapshot)];

/// Longest input: long enough for a few traces.
const LONGEST: usize = 6_000;

/// <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What is worth putting somewhere: numbers at their limits, and the words of the formats.
const TOKENS: [&[u8]; 32] = [
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\x0a\x00",
    b"\x0a",
    b"\x12",
    b"\x1a\x00",
    b"\x80\x80\x80\x80\x10",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x0b",
    b"\x0c",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\n",
    b"null",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"\"kind\":\"SPAN_KIND_CLIENT\",",
    b"{\"resourceSpans\":[",
    b"\"links\":[{}],",
    b"\xf0\x9f\x98\x80",
];

fn mutated(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(4) {
        let (at, long) = (random.below(bytes.len()), random.below(40));
        let to = (at + long).min(bytes.len());
        match random.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.next() as u8,
            2 => drop(bytes.drain(at..to)),
            3 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
            4 => bytes.truncate(at),
            5 => {
                let token = TOKENS[random.below(TOKENS.len())];
                let to = if random.below(2) == 0 { at } else { (at + token.len()).min(bytes.len()) };
                drop(bytes.splice(at..to, token.iter().copied()));
            }
            6 => {
                let other = &seeds[random.below(seeds.len())];
                let (from, to) = (random.below(other.len()), random.below(other.len()));
                drop(bytes.splice(at..at, other[from.min(to)..from.max(to)].iter().copied()));
            }
            7 => {
                let other = &seeds[random.below(seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
            _ => {}
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

struct Into<'a>(&'a Builder);

impl SpanSink for Into<'_> {
    fn push(&self, batch: &SpanBatch) -> Result<(), tracebook::diag::Diagnostic> {
        self.0.push(batch)
    }
}

/// A snapshot of a JSON document.
fn snapshot_of(text: &[u8]) -> Option<Vec<u8>> {
    let builder = Builder::new(TopologyConfig::default());
    source::bytes(text, &SourceOptions::default()).read(&Into(&builder), &NoProgress).ok()?;
    codec::encode(&builder.finish(Intake::default(), 1).ok()?).ok()
}

/// Small whole documents of every kind, from the repository's test data.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data");
    let mut files = Vec::new();
    let mut todo = vec![data];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.path().is_dir() { todo.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    let mut seeds = Vec::new();
    for path in files {
        let Ok(bytes) = fs::read(&path) else { continue };
        let is = |end: &str| path.extension().is_some_and(|e| e == end);
        match target {
            "protobuf" if is("binpb") => seeds.push(bytes),
            "json" | "snapshot" if is("json") => seeds.push(bytes),
            "json" | "snapshot" if is("jsonl") => {
                seeds.extend(bytes.split(|b| *b == b'\n').take(4).map(<[u8]>::to_vec))
            }
            _ => {}
        }
    }
    if target == "protobuf" {
        // JSON documents as protobuf.
        for text in self::seeds("json") {
            use prost::Message;
            type Request = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
            seeds.extend(serde_json::from_slice::<Request>(&text).ok().map(|r| r.encode_to_vec()));
        }
    }
    if target == "snapshot" {
        seeds = seeds.iter().filter_map(|text| snapshot_of(text)).collect();
    }
    seeds.retain(|seed| !seed.is_empty());
    seeds.iter_mut().for_each(|seed| seed.truncate(4 * LONGEST));
    seeds
}

fn fails(run: fn(&[u8]), bytes: &[u8]) -> bool {
    std::panic::catch_unwind(|| run(bytes)).is_err()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, target, hex] = args.as_slice()
        && flag == "--bytes"
    {
        let bytes: Vec<u8> =
            (0..hex.len() / 2).filter_map(|i| u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()).collect();
        let Some((_, run)) = TARGETS.iter().find(|(name, _)| name == target) else { return ExitCode::from(2) };
        run(&bytes);
        return ExitCode::SUCCESS;
    }
    let rounds: u64 = args.first().and_then(|n| n.parse().ok()).unwrap_or(5_000);
    let first: u64 = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut failures = 0;
    for (name, run) in TARGETS {
        let seeds = seeds(name);
        assert!(seeds.len() > 3, "{name}: {} seeds", seeds.len());
        let whole = seeds.iter().filter(|seed| fails(run, seed)).count();
        let mut random = Random(first);
        let mut found = whole;
        for _ in 0..rounds {
            let bytes = mutated(&mut random, &seeds);
            if fails(run, &bytes) {
                found += 1;
                let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                println!("{name} fails on {hex}");
                if found > 2 {
                    break;
                }
            }
        }
        println!("{name}: {} seeds, {rounds} mutations, {found} failures", seeds.len());
        failures += found;
    }
    ExitCode::from(u8::from(failures > 0))
}
