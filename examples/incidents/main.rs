//! A seeded simulator of incidents in random microservice systems, with the truth about each.
//!
//! `cargo run --example incidents -- --help`; see `examples/incidents/README.md`.

#[cfg(test)]
mod tests;
mod world;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use world::capture::{Counts, capture};
use world::fault::Kind;
use world::label::{Label, Quiet, label, unrelated};
use world::origins::planted;
use world::run::World;
use world::{grow, plan};

const ABOUT: &str = "Simulates incidents in random microservice systems: same options, same bytes, on every machine";

const AFTER: &str = "\
Each incident is one file of OTLP traces: some minutes in which all is well, three minutes of a fault, sometimes a little of
what comes after. DIR/labels.json says for each which service, database or dependency is to be named, and when the fault
began and ended. Sorts of faults are dealt evenly; where a fault sits is drawn among all services that are used at all, rare
ones as likely as busy ones.

Examples:
  # sixty incidents, five in each of twelve systems, and three windows in which nothing is wrong
  incidents --systems 12 --per-system 5 --quiet-windows 3 --seed 7 --output target/incidents

  # one sort only
  incidents --systems 20 --per-system 1 --fault network_delay --seed 7 --output target/delays

  # how well tracebook names culprits in them
  benches/diagnosis/run.py target/release/tracebook target/incidents

What is in a system, what is not, and what every fault does: examples/incidents/README.md";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "incidents", about = ABOUT, after_help = AFTER)]
struct Args {
    /// Directory to write into; made if it is not there
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Same seed, same systems and incidents
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Systems: 8 to 40 services each
    #[arg(long, value_name = "N", default_value_t = 12)]
    systems: usize,
    /// Incidents in each system
    #[arg(long, value_name = "N", default_value_t = 5)]
    per_system: usize,
    /// Only faults of this sort; a system that has no place for it is left out
    #[arg(long, value_enum, value_name = "KIND")]
    fault: Option<Kind>,
    /// Windows of each system in which nothing is wrong, listed in DIR/quiet.json
    #[arg(long, value_name = "N", default_value_t = 0)]
    quiet_windows: usize,
    /// Number of the first system, to make a part of a large set: system 5 is the same whichever came before it
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_system: usize,
    /// Write small incidents with one error of known origin instead (NAME-base, NAME-head, and DIR/origins.json)
    #[arg(long)]
    origins: bool,
}

/// Simulates one window into a file.
fn write(world: &World<'_>, seed: u64, window: (u64, u64), path: &Path) -> io::Result<Counts> {
    let out = zstd::Encoder::new(File::create(path)?, 6)?;
    let (out, counts) = capture(world, seed, window, out)?;
    out.finish()?;
    Ok(counts)
}

fn list(path: &Path, entries: &[impl Serialize]) -> Result<(), String> {
    let mut text = serde_json::to_vec_pretty(entries).map_err(|e| e.to_string())?;
    text.push(b'\n');
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn run(args: &Args) -> Result<(), String> {
    let named = |path: &Path, e: io::Error| format!("{}: {e}", path.display());
    fs::create_dir_all(&args.output).map_err(|e| named(&args.output, e))?;
    let (mut labels, mut windows): (Vec<Label>, Vec<Quiet>) = (Vec::new(), Vec::new());
    let mut said = io::stderr().lock();
    for of in args.first_system..args.first_system + args.systems {
        let system = grow::system(args.seed, of);
        for number in 0..args.per_system {
            let Some(incident) = plan::incident(args.seed, &system, (of, args.per_system, number), args.fault) else {
                continue;
            };
            let case = format!("{}-{number:02}-{}", system.name, incident.fault.kind.name());
            let path = args.output.join(format!("{case}.otlp.jsonl.zst"));
            let world = World::new(&system, Some(incident.fault.clone()), &incident.unrelated);
            let counts = write(&world, incident.seed, (incident.from, incident.until), &path);
            let counts = counts.map_err(|e| named(&path, e))?;
            let label = label(&system, &incident, &world.fleet, case, counts);
            let _ = writeln!(said, "{:<32} {:>6} spans  {}", label.case, counts.spans, label.service);
            labels.push(label);
        }
        for number in 0..args.quiet_windows {
            let calm = plan::quiet(args.seed, &system, of, number);
            let case = format!("{}-quiet-{number:02}", system.name);
            let file = format!("{case}.otlp.jsonl.zst");
            let path = args.output.join(&file);
            let world = World::new(&system, None, &calm.unrelated);
            let counts = write(&world, calm.seed, (calm.from, calm.until), &path).map_err(|e| named(&path, e))?;
            windows.push(Quiet {
                case,
                file,
                system: system.name.clone(),
                start_unix_nano: calm.from.to_string(),
                end_unix_nano: calm.until.to_string(),
                spans: counts.spans,
                unrelated: unrelated(&system, &calm.unrelated),
            });
        }
    }
    list(&args.output.join("labels.json"), &labels)?;
    if args.quiet_windows > 0 {
        list(&args.output.join("quiet.json"), &windows)?;
    }
    Ok(())
}

/// Planted errors, each a file before and a file with it.
fn origins(args: &Args) -> Result<(), String> {
    fs::create_dir_all(&args.output).map_err(|e| format!("{}: {e}", args.output.display()))?;
    let mut all = Vec::new();
    for planted in planted(args.seed) {
        let mut planted = planted.map_err(|e| e.to_string())?;
        for (which, bytes) in [("base", &mut planted.base), ("head", &mut planted.head)] {
            let path = args.output.join(format!("{}-{which}.otlp.jsonl.zst", planted.name));
            let packed = zstd::encode_all(std::mem::take(bytes).as_slice(), 6);
            packed.and_then(|packed| fs::write(&path, packed)).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        all.push(planted);
    }
    list(&args.output.join("origins.json"), &all)
}

fn main() -> ExitCode {
    let args = Args::parse();
    match if args.origins { origins(&args) } else { run(&args) } {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "incidents: {message}");
            ExitCode::from(2)
        }
    }
}
