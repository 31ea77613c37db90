//! `init`: what was observed → a commented starter configuration.

use std::path::PathBuf;

use clap::Args;

use super::args::{FromArgs, Global, ReadArgs};
use super::io::{Io, Stop};
use super::{Exit, Surroundings, input, starter};
use crate::config;
use crate::output;

const AFTER: &str = "\
Examples:
  tracebook init --from tempo://tempo:9095 --output tracebook.yaml
  tracebook init --from traces.jsonl.zst | less

The objectives it suggests are what was observed, with head-room: a place to start from, not a promise.";

/// Write a commented starter tracebook.yaml from what was observed
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct InitArgs {
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// File to write; never overwritten [default: standard output]
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &InitArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let config = config::load(global.config.as_deref(), &around.dir)?;
    let froms = input::sources(&args.from, &config, around);
    let output = args.output.as_ref().map(|p| around.dir.join(p));
    if let Some(path) = output.as_deref() {
        output::refuse_existing(path)?;
    }
    let request = input::Request::new(around, global, &config, &args.read);
    let snapshot = input::read(&froms, &request, io)?;
    // Only a backend is worth remembering: a file of traces is read once.
    let remembered = args.from.from.iter().find(|f| f.contains("://") && !f.contains('@'));
    let text = starter::text(&snapshot, remembered.map(String::as_str));
    match output {
        Some(path) => {
            output::write_new(&path, text.as_bytes(), false)?;
            io.say(&format!("{}: read it, correct it, then run `tracebook generate`", path.display()));
        }
        None => io.data(&text)?,
    }
    Ok(Exit::Nothing)
}
