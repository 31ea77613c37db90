//! `capture --from otlp://…`: listens, keeps what comes in a log, and makes snapshots of the log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::Exit;
use super::args::lookback;
use super::capture;
use super::input::{self, Request};
use super::io::{Io, Stop};
use crate::diag::Diagnostic;
use crate::output::Segments;
use crate::source::receiver::{self, Log, Receiver};

/// What only a receiver heeds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Receiver (otlp://)")]
pub(super) struct ReceiveArgs {
    /// How long to receive: `10m`, `1h` [default: until SIGTERM or Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = lookback)]
    during: Option<u64>,
    /// How often to write the snapshot of what came so far, if anything new did [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = lookback)]
    every: Option<u64>,
    /// Directory of the log of requests [default: the output's name with `.wal`]
    #[arg(long, value_name = "DIR")]
    wal: Option<PathBuf>,
}

impl ReceiveArgs {
    /// Refuses these flags for any other source.
    ///
    /// # Errors
    /// `flag-without-effect`.
    pub(super) fn refuse(&self) -> Result<(), Diagnostic> {
        let given =
            [(self.during.is_some(), "--for"), (self.every.is_some(), "--every"), (self.wal.is_some(), "--wal")];
        let given: Vec<&str> = given.into_iter().filter_map(|(given, flag)| given.then_some(flag)).collect();
        if given.is_empty() {
            return Ok(());
        }
        let message = format!("{} means something only while receiving", given.join(", "));
        Err(Diagnostic::error("flag-without-effect", message).help("leave it out, or give --from otlp://HOST:PORT"))
    }
}

/// Several sources, one of which has to be waited for.
pub(super) fn mixed() -> Diagnostic {
    Diagnostic::error("from-mixed", "receiving cannot be combined with another source")
        .help("capture each into a snapshot of its own, and join them: tracebook capture --merge FILE... --output FILE")
}

/// Flags that mean nothing for spans that have not come yet.
pub(super) fn idle(flags: &[&str]) -> Diagnostic {
    Diagnostic::error("flag-without-effect", format!("{} cannot be applied to otlp://", flags.join(", ")))
        .help("leave it out; --for says how long to receive")
}

/// The log of `output`, as the receiver wants it.
struct Kept(Segments);

impl Log for Kept {
    fn append(&mut self, messages: &[u8]) -> Result<(), Diagnostic> {
        self.0.append(messages)
    }

    fn rotate(&mut self) -> Result<Vec<PathBuf>, Diagnostic> {
        self.0.rotate()
    }
}

/// Receives until the end, then reads the log as the files it consists of.
pub(super) fn run(
    from: &str,
    args: &ReceiveArgs,
    output: Option<&Path>,
    request: &Request<'_>,
    io: &mut Io<'_>,
) -> Result<Exit, Stop> {
    let Some(output) = output else {
        return Err(Diagnostic::error(
            "receiver-no-output",
            "a receiver writes its snapshot again and again: into a file",
        )
        .help("give --output FILE")
        .into());
    };
    // The rest weighs or partitions spans, whenever they come.
    let mut flags = input::window_flags(request);
    flags.retain(|flag| !["--rate-attribute", "--shard"].contains(flag));
    // Nobody is asked while spans come in; the snapshot can be asked for afterwards.
    flags.extend(request.connection.prometheus.is_some().then_some("--prometheus"));
    if !flags.is_empty() {
        return Err(idle(&flags).into());
    }
    // A directory that somebody named is theirs, whatever is in it.
    let ours = args.wal.is_none();
    let wal = args.wal.as_ref().map_or_else(|| beside(output), |dir| request.around.dir.join(dir));
    let options = input::unwindowed(request)?;
    let (log, notes) = Segments::open(&wal)?;
    io.diagnostics(&notes);
    let during = args.during.map(Duration::from_secs);
    let every = Duration::from_secs(args.every.unwrap_or(60));
    let earlier = log.earlier();
    let receiver = Receiver::start(from, during, &options, Kept(log)).inspect_err(|_| {
        if earlier == 0 {
            Segments::leave(&wal, ours);
        }
    })?;
    io.say(&format!("receiving OTLP at {}, kept in {}", receiver.address(), wal.display()));
    let source = receiver::shown(from);
    let (mut seen, mut told, mut heard) = (0, Vec::new(), BTreeSet::new());
    while !receiver.ended(every) {
        io.warnings(receiver.notes());
        // Files of the log are never written again once they are ended, so their number tells what is new.
        let interim = without_gone(|| receiver.rotate(), io).map_err(Stop::from).and_then(|files| {
            if std::mem::replace(&mut seen, files.len()) == files.len() {
                return Ok(());
            }
            Ok(capture::write(&snapshot((&wal, &files), &source, request, &mut heard, io)?, output, io)?)
        });
        match interim {
            Ok(()) => told.clear(),
            // The log is whole, and what is in it gets another chance: receiving must go on.
            Err(Stop::Failed(failures)) => {
                // Messages may hold the name of a temporary file, which is another one each time.
                let these: Vec<_> = failures.iter().map(|f| (f.code, f.location.clone())).collect();
                if these != told {
                    io.warnings(failures);
                    told = these;
                }
                seen = 0;
            }
            Err(stop) => return Err(stop),
        }
    }
    let mut received = receiver.finish().map_err(|e| left(e.into(), &wal))?;
    io.warnings(received.diagnostics);
    let files = without_gone(|| received.log.rotate(), io).map_err(|e| left(e.into(), &wal))?;
    if files.is_empty() {
        received.log.0.remove(ours)?;
        return Err(Diagnostic::error("no-spans", "not a single span was received")
            .help("point exporters to this address (OTEL_EXPORTER_OTLP_ENDPOINT), or receive longer")
            .into());
    }
    let before =
        if earlier > 0 { format!(", besides {earlier} file(s) of an earlier run's log") } else { String::new() };
    io.say(&format!("{} request(s) received{before}", received.requests));
    // In the end everything is said, with its last number.
    snapshot((&wal, &files), &source, request, &mut BTreeSet::new(), io)
        .and_then(|snapshot| Ok(capture::write(&snapshot, output, io)?))
        .map_err(|stop| left(stop, &wal))?;
    // Only now: until the snapshot is on the disk, the log is all there is.
    received.log.0.remove(ours)?;
    Ok(Exit::Nothing)
}

/// The files of the log. Those that somebody took away are told, and what is left is read.
fn without_gone(
    mut rotate: impl FnMut() -> Result<Vec<PathBuf>, Diagnostic>,
    io: &mut Io<'_>,
) -> Result<Vec<PathBuf>, Diagnostic> {
    match rotate() {
        Err(gone) if gone.code == "log-file-gone" => {
            io.warnings([gone]);
            rotate()
        }
        other => other,
    }
}

/// Says with what ended the run that the log was not removed, and where it is.
fn left(stop: Stop, wal: &Path) -> Stop {
    let Stop::Failed(mut failures) = stop else { return stop };
    if let Some(last) = failures.last_mut() {
        let there = format!("nothing of the log in {} was removed: the same command reads it again", wal.display());
        last.help = if last.help.is_empty() { there } else { format!("{}; {there}", last.help) };
    }
    Stop::Failed(failures)
}

/// The snapshot of all files of the log. Each kind of thing is said of it once: the log is read again and again.
fn snapshot(
    (wal, files): (&Path, &[PathBuf]),
    source: &str,
    request: &Request<'_>,
    heard: &mut BTreeSet<(&'static str, String)>,
    io: &mut Io<'_>,
) -> Result<crate::topology::Snapshot, Stop> {
    io.heard = Some(std::mem::take(heard));
    let result = input::read_left((wal, files), source.to_owned(), request, io);
    *heard = io.heard.take().unwrap_or_default();
    result
}

/// `live.snapshot.json` → `live.snapshot.json.wal`, beside it.
fn beside(output: &Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".wal");
    PathBuf::from(name)
}
