//! The command line: what was typed becomes what the stages need, once; commands wire stages together.
//!
//! Purpose: parse arguments, layer default < file < environment < flag, print, decide the exit code. Data goes to standard
//! output, everything else to standard error. The only module that reads the clock.
//! Input: arguments, environment, streams. Output: an exit code: 0 nothing to report, 1 drift, breach or finding at or
//! above `--fail-on`, 2 could not do the job. A broken pipe is success.
//! Must not: compute anything about traces, format numbers of pages, or write files except through `output`.

mod aggregates;
mod args;
mod capture;
mod check;
mod completions;
mod diff;
mod directory;
mod doctor;
mod external;
mod generate;
mod graph;
mod init;
mod input;
mod io;
mod man;
mod merge;
mod piped;
mod progress;
mod receive;
mod record;
mod resume;
mod slo;
mod stages;
mod starter;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Read, Write};
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser as _};

use crate::spans::UnixNanos;
use args::{Cli, Command};
use io::{Io, Stop};

/// What surrounds a run besides its arguments and streams, as a value so that tests can choose it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Relative paths start here; empty for the working directory of the process.
    pub dir: PathBuf,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// The time.
    pub now: UnixNanos,
    /// Whether progress may be drawn on the terminal behind standard error.
    pub terminal: bool,
    /// Whether standard output is a terminal.
    pub terminal_data: bool,
}

impl Surroundings {
    /// Those of the process: the only place that reads the clock and the environment.
    #[must_use]
    pub fn of_process() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            dir: PathBuf::new(),
            // Variables that are not UTF-8 are none of ours.
            env: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
            now: UnixNanos(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)),
            terminal: std::io::stderr().is_terminal(),
            terminal_data: std::io::stdout().is_terminal(),
        }
    }
}

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Nothing,
    Findings,
}

impl Exit {
    fn findings_if(found: bool) -> Self {
        if found { Self::Findings } else { Self::Nothing }
    }
}

/// Runs a command of the process. `args` begins with the name of the program.
pub fn run<I, T>(args: I, stdin: &mut dyn Read, stdout: &mut dyn Write, stderr: &mut dyn Write) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    run_in(&Surroundings::of_process(), args, stdin, stdout, stderr)
}

/// Runs a command in given surroundings.
pub fn run_in<I, T>(
    surroundings: &Surroundings,
    args: I,
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, surroundings.terminal, stdout, stderr),
    };
    let mut surroundings = surroundings.clone();
    if let Some(dir) = &cli.global.directory {
        surroundings.dir = surroundings.dir.join(dir);
    }
    let mut io = Io::new(stdin, stdout, stderr, &cli.global, &surroundings);
    let result = dispatch(&cli, &surroundings, &mut io);
    io.finish(result)
}

fn dispatch(cli: &Cli, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let global = &cli.global;
    match &cli.command {
        Command::Generate(args) => generate::run(args, global, around, io),
        Command::Capture(args) => capture::run(args, global, around, io),
        Command::Check(args) => check::run(args, global, around, io),
        Command::Diff(args) => diff::run(args, global, around, io),
        Command::Slo(args) => slo::run(args, global, around, io),
        Command::Graph(args) => graph::run(args, global, around, io),
        Command::Init(args) => init::run(args, global, around, io),
        Command::Doctor(args) => doctor::run(args, global, around, io),
        Command::Completions(args) => completions::run(args, io),
        Command::Man(args) => man::run(args, io),
    }
}

/// Help and version are data; a mistake in the arguments is exit 2.
fn usage(error: &clap::Error, terminal: bool, stdout: &mut dyn Write, stderr: &mut dyn Write) -> u8 {
    let text = error.render();
    if error.use_stderr() {
        let text = if terminal { text.ansi().to_string() } else { text.to_string() };
        let _ = stderr.write_all(text.as_bytes());
        return 2;
    }
    match stdout.write_all(text.to_string().as_bytes()).and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => 2,
        _ => 0,
    }
}

/// The whole command line as clap sees it: for generated documentation.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}
