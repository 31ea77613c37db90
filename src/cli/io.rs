//! Streams: data to standard output, words to standard error, and what ends a command early.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};

use super::args::{Color, FailOn, Global};
use super::{Exit, Surroundings};
use crate::diag::{Diagnostic, Location, Severity};

/// So many diagnostics of one code are shown: one fault in a template fails every page of a directory.
const MOST_OF_A_CODE: usize = 20;

/// What ends a command before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody reads on: success.
    BrokenPipe,
    /// Could not do the job.
    Failed(Vec<Diagnostic>),
}

impl From<Diagnostic> for Stop {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Failed(vec![diagnostic])
    }
}

impl From<Vec<Diagnostic>> for Stop {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self::Failed(diagnostics)
    }
}

/// Both output streams and how much is said on them.
pub(super) struct Io<'a> {
    /// Standard input, until somebody takes it.
    stdin: Option<&'a mut dyn Read>,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    color: bool,
    /// Whether data may be coloured.
    pub(super) color_data: bool,
    /// Least severity that is said.
    least: Severity,
    quiet: bool,
    /// Kinds of warnings, by code and help, that were said and need not be said again; `None` where each is said whenever it is
    /// given.
    pub(super) heard: Option<BTreeSet<(&'static str, String)>>,
    /// Whether progress may be drawn.
    pub(super) progress: bool,
}

impl<'a> Io<'a> {
    pub(super) fn new(
        stdin: &'a mut dyn Read,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
        global: &Global,
        around: &Surroundings,
    ) -> Self {
        let allowed = around.env.get("NO_COLOR").is_none_or(String::is_empty);
        let color = |terminal: bool| match global.color {
            Color::Auto => terminal && allowed,
            Color::Always => true,
            Color::Never => false,
        };
        Self {
            stdin: Some(stdin),
            out,
            err,
            color: color(around.terminal),
            color_data: color(around.terminal_data),
            least: if global.quiet {
                Severity::Error
            } else if global.verbose > 0 {
                Severity::Info
            } else {
                Severity::Warning
            },
            quiet: global.quiet,
            heard: None,
            progress: around.terminal && !global.quiet,
        }
    }

    /// Standard input; `None` when it was taken before: it can be read once.
    pub(super) fn take_stdin(&mut self) -> Option<&'a mut dyn Read> {
        self.stdin.take()
    }

    /// Data.
    pub(super) fn data(&mut self, text: &str) -> Result<(), Stop> {
        self.bytes(text.as_bytes())
    }

    /// Data that need not be text.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.out.write_all(bytes).and_then(|()| self.out.flush()).map_err(|e| {
            if e.kind() == ErrorKind::BrokenPipe {
                Stop::BrokenPipe
            } else {
                Diagnostic::error("stdout-failed", format!("cannot write the answer: {e}"))
                    .at(Location::file("-"))
                    .help("check what standard output is connected to")
                    .into()
            }
        })
    }

    /// A line for people, unless `--quiet`.
    pub(super) fn say(&mut self, line: &str) {
        if !self.quiet {
            let _ = writeln!(self.err, "{}", clean(line));
        }
    }

    /// What went wrong and ends nothing: as warnings.
    pub(super) fn warnings(&mut self, failures: impl IntoIterator<Item = Diagnostic>) {
        let warnings = failures.into_iter().map(|d| Diagnostic { severity: Severity::Warning, ..d });
        self.diagnostics(&warnings.collect::<Vec<_>>());
    }

    /// Warnings and notes, as far as asked for; errors always.
    pub(super) fn diagnostics(&mut self, diagnostics: &[Diagnostic]) {
        let mut said: BTreeMap<&str, usize> = BTreeMap::new();
        let before = self.heard.clone();
        for diagnostic in diagnostics.iter().filter(|d| d.severity >= self.least) {
            if let Some(heard) = self.heard.as_mut().filter(|_| diagnostic.severity < Severity::Error) {
                let kind = (diagnostic.code, diagnostic.help.clone());
                if before.as_ref().is_some_and(|before| before.contains(&kind)) {
                    continue;
                }
                heard.insert(kind);
            }
            let n = said.entry(diagnostic.code).or_default();
            *n = n.saturating_add(1);
            if *n <= MOST_OF_A_CODE {
                let _ = writeln!(self.err, "{}", shown(diagnostic, self.color));
            }
        }
        for (code, n) in said {
            let more = n.saturating_sub(MOST_OF_A_CODE);
            if more > 0 {
                let _ = writeln!(self.err, "… and {more} more `{code}`");
            }
        }
    }

    /// Ends the command: prints what stopped it and gives the exit code.
    pub(super) fn finish(mut self, result: Result<Exit, Stop>) -> u8 {
        match result {
            Ok(Exit::Nothing) | Err(Stop::BrokenPipe) => 0,
            Ok(Exit::Findings) => 1,
            Err(Stop::Failed(diagnostics)) => {
                self.diagnostics(&diagnostics);
                2
            }
        }
    }
}

/// Whether something of this severity makes the exit code 1.
pub(super) fn fails(severity: Severity, fail_on: FailOn) -> bool {
    match fail_on {
        FailOn::Info => true,
        FailOn::Warning => severity >= Severity::Warning,
        FailOn::Error => severity >= Severity::Error,
        FailOn::Never => false,
    }
}

/// A diagnostic as people read it. Names from traces may be in it, so control characters are made visible.
pub(super) fn shown(diagnostic: &Diagnostic, color: bool) -> String {
    let (on, off) = match (color, diagnostic.severity) {
        (false, _) => ("", ""),
        (true, Severity::Error) => ("\u{1b}[1;31m", "\u{1b}[0m"),
        (true, Severity::Warning) => ("\u{1b}[1;33m", "\u{1b}[0m"),
        (true, Severity::Info) => ("\u{1b}[1;36m", "\u{1b}[0m"),
    };
    let mut text = format!("{on}{}[{}]{off}: {}", diagnostic.severity, diagnostic.code, clean(&diagnostic.message));
    if diagnostic.location != Location::default() {
        let _ = write!(text, "\n  --> {}", clean(&diagnostic.location.to_string()));
    }
    if !diagnostic.help.is_empty() {
        let _ = write!(text, "\n  help: {}", clean(&diagnostic.help));
    }
    text
}

/// Without anything that could steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            // Bidirectional overrides can make a line read as another.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => '\u{fffd}',
            c => c,
        })
        .collect()
}
