//! A seeded generator of OpenTelemetry traces, with the truth about what it generated.
//!
//! `cargo run --example shop -- --help`; see `examples/shop/README.md`.

mod model;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use model::laps::Laps;
use model::{Format, Generator, Incident, Options, SYSTEMS};

const ABOUT: &str = "Generates OpenTelemetry traces of a made-up system: same options, same bytes, on every machine";

const AFTER: &str = "\
Examples:
  # 1,000 requests to the shop, JSON lines on standard output
  shop | head -n 1

  # two hours in which the payment service slows down after the first, and the truth about both
  shop --traces 7200 --over 2h --fault payment-latency --at +1h -o shop.jsonl.zst --expect truth.json

  # what a release does: the same traffic, all pods on the new version, which has a fault
  shop --rollout 0 -o base.jsonl.zst
  shop --rollout 1 --fault bad-release -o head.jsonl.zst

  # everything that goes wrong with trace data, at once
  shop --sample 0.25 --skew 3ms --orphans 0.01 --rootless 0.01 --duplicates 0.02

The truth (--expect) holds every node and edge with calls, errors and exact mean durations, and the counts of spans,
traces, links, orphans and duplicates, taken from the simulation itself.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "shop", about = ABOUT, after_help = AFTER)]
struct Args {
    /// System to simulate
    #[arg(long, default_value = "shop", value_parser = clap::builder::PossibleValuesParser::new(SYSTEMS.iter().map(|s| s.name)))]
    system: String,
    /// Say which systems and faults there are, and stop
    #[arg(long)]
    list: bool,
    /// Same seed, same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// Requests from outside; each is one trace, and batch consumers add traces of their own
    #[arg(long, value_name = "N", help_heading = "How much")]
    traces: Option<u64>,
    /// Stop after about N spans instead
    #[arg(long, value_name = "N", help_heading = "How much")]
    spans: Option<u64>,
    /// Stop after about N bytes, counted before compression, instead
    #[arg(long, value_name = "N", help_heading = "How much")]
    bytes: Option<u64>,

    /// Repeat all of it N times, one lap after the other in time, with new ids: millions of spans a second. One lap is
    /// held in memory
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "sample", help_heading = "How much")]
    laps: u64,

    /// About N services, in copies of the system that share stores and topics [default: those of the system]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "How much")]
    services: u64,
    /// N different names of SERVER and CONSUMER spans [default: those of the system]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, help_heading = "How much")]
    operations: u64,

    /// First request: RFC 3339 or Unix seconds
    #[arg(long, value_name = "TIME", default_value = "2026-11-02T09:00:00Z", value_parser = instant, help_heading = "When")]
    start: u64,
    /// Spread the requests over this time, such as 90m or 6h [default: two requests a second]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "When")]
    over: Option<u64>,

    /// How the spans are written
    #[arg(long, value_enum, default_value_t = Format::Jsonl, help_heading = "Output")]
    format: Format,
    /// File to write; .zst and .gz compress [default: standard output]
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Write the truth about what was generated as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    expect: Option<PathBuf>,
    /// Spans in one line or message, at most
    #[arg(long, value_name = "N", default_value_t = 512, help_heading = "Output")]
    record: usize,
    /// Eight attributes on every span and on every resource: about 435 bytes a span in protobuf, 890 in JSON
    #[arg(long, help_heading = "Output")]
    wide: bool,

    /// Share of traffic that meets version 1.5.0; the rest meets 1.4.0
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, help_heading = "Traffic")]
    rollout: f64,
    /// Keep this share of traces and say so in `tracestate` (`ot=th:…`)
    #[arg(long, value_name = "SHARE", help_heading = "Traffic")]
    sample: Option<f64>,
    /// Something that goes wrong, see --list
    #[arg(long, value_name = "NAME", help_heading = "Traffic")]
    fault: Option<String>,
    /// When the fault starts: RFC 3339, Unix seconds, or +30m after the start [default: the start]
    #[arg(long, value_name = "TIME", requires = "fault", help_heading = "Traffic")]
    at: Option<String>,
    /// How long the fault lasts [default: to the end]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, requires = "fault", help_heading = "Traffic")]
    lasts: Option<u64>,

    /// One service's clock runs behind by this, such as 3ms
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration, help_heading = "Defects")]
    skew: u64,
    /// Share of traces that lose an INTERNAL span with children
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Defects")]
    orphans: f64,
    /// Share of traces that lose their root span
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Defects")]
    rootless: f64,
    /// Share of spans that are exported twice
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Defects")]
    duplicates: f64,
}

/// Nanoseconds since the epoch of RFC 3339 or Unix seconds.
fn instant(text: &str) -> Result<u64, String> {
    let no = || format!("`{text}` is neither RFC 3339 nor Unix seconds");
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1_000_000_000).ok_or_else(no);
    }
    let timestamp: jiff::Timestamp = text.parse().map_err(|_| no())?;
    u64::try_from(timestamp.as_nanosecond()).map_err(|_| no())
}

/// Nanoseconds of `3ms`, `90m`, `6h`.
fn duration(text: &str) -> Result<u64, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| format!("`{text}` is no duration such as 3ms or 6h"))?;
    u64::try_from(parsed.as_nanos()).map_err(|_| format!("`{text}` is negative or too long"))
}

impl Args {
    fn options(&self) -> Result<Options, String> {
        let endless = self.spans.is_some() || self.bytes.is_some();
        let traces = self.traces.unwrap_or(if endless { u64::MAX } else { 1000 });
        let gap = match self.over {
            None => 500_000_000,
            Some(_) if traces == u64::MAX => return Err("--over needs --traces".to_owned()),
            Some(time) => time / traces.max(1),
        };
        let fault = match &self.fault {
            None => None,
            Some(name) => {
                let from = match &self.at {
                    None => self.start,
                    Some(at) => match at.strip_prefix('+') {
                        Some(after) => self.start.saturating_add(duration(after)?),
                        None => instant(at)?,
                    },
                };
                let until = self.lasts.map_or(u64::MAX, |lasts| from.saturating_add(lasts));
                Some(Incident { name: name.clone(), from, until })
            }
        };
        Ok(Options {
            seed: self.seed,
            start: self.start,
            gap,
            traces,
            spans: self.spans.unwrap_or(u64::MAX),
            rollout: self.rollout,
            sample: self.sample,
            skew: self.skew,
            orphans: self.orphans,
            rootless: self.rootless,
            duplicates: self.duplicates,
            fault,
            record: self.record,
            wide: self.wide,
            services: self.services,
            operations: self.operations,
        })
    }
}

/// Where spans go.
enum Output {
    Plain(BufWriter<Box<dyn Write>>),
    Zstd(Box<zstd::Encoder<'static, File>>),
    Gzip(flate2::write::GzEncoder<File>),
}

impl Output {
    fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::Plain(BufWriter::new(Box::new(io::stdout().lock())))) };
        let file = File::create(path)?;
        Ok(match path.extension().and_then(|e| e.to_str()) {
            Some("zst") => Self::Zstd(Box::new(zstd::Encoder::new(file, 19)?)),
            Some("gz") => Self::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::best())),
            _ => Self::Plain(BufWriter::new(Box::new(file))),
        })
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut out) => out.flush(),
            Self::Zstd(out) => out.finish().map(drop),
            Self::Gzip(out) => out.finish().map(drop),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Zstd(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Zstd(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
        }
    }
}

/// Where the simulated bytes go: straight out, or into the lap that is repeated.
enum Sink {
    Straight(Output),
    Lap(Vec<u8>, Output),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Straight(out) => out.write(bytes),
            Self::Lap(lap, _) => lap.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn list(out: &mut impl Write) -> io::Result<()> {
    for system in SYSTEMS {
        writeln!(out, "{:<20} {}", system.name, system.about)?;
        for fault in system.faults {
            writeln!(out, "  --fault {:<18} {}", fault.name, fault.about)?;
        }
    }
    Ok(())
}

fn run(args: &Args) -> Result<(), String> {
    if args.list {
        return list(&mut io::stdout().lock()).map_err(|e| e.to_string());
    }
    let system = model::system(&args.system).ok_or_else(|| format!("no system is called `{}`", args.system))?;
    let mut generator = Generator::new(system, args.options()?)?;
    let named = |e: io::Error| match &args.output {
        Some(path) => format!("{}: {e}", path.display()),
        None => format!("standard output: {e}"),
    };
    let output = Output::open(args.output.as_deref()).map_err(named)?;
    // Whoever reads standard output may have had enough.
    let ended = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe && args.output.is_none();
    let sink = if args.laps > 1 { Sink::Lap(Vec::new(), output) } else { Sink::Straight(output) };
    let mut writer = generator.writer(args.format, sink);
    while let Some(record) = generator.next() {
        match writer.write(&record) {
            Err(e) if ended(&e) => return Ok(()),
            other => other.map_err(named)?,
        }
        if args.bytes.is_some_and(|limit| writer.bytes() >= limit) {
            generator.stop();
        }
    }
    let period = generator.period();
    let output = match writer.into_inner() {
        Sink::Straight(output) => output,
        Sink::Lap(lap, mut output) => {
            let mut laps = Laps::new(lap, args.format, period);
            for number in 0..args.laps {
                if number > 0 {
                    laps.advance();
                }
                match laps.write(&mut output) {
                    Err(e) if ended(&e) => return Ok(()),
                    other => other.map_err(named)?,
                }
            }
            output
        }
    };
    output.finish().map_err(named)?;
    if let Some(path) = &args.expect {
        let truth = generator.truth().times(args.laps, period);
        let mut text = serde_json::to_vec_pretty(&truth).map_err(|e| e.to_string())?;
        text.push(b'\n');
        std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "shop: {message}");
            ExitCode::from(2)
        }
    }
}
