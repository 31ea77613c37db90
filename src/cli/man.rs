//! `man`: manual pages.

use clap::Args;

use super::io::{Io, Stop};
use super::{Exit, command};
use crate::diag::Diagnostic;

const AFTER: &str = "\
Examples:
  tracebook man | man -l -
  tracebook man generate > tracebook-generate.1";

/// Print the manual page of tracebook or of one of its commands
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct ManArgs {
    /// Which command [default: the overview]
    command: Option<String>,
}

pub(super) fn run(args: &ManArgs, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let mut root = command();
    root.build();
    let page = match &args.command {
        None => root,
        Some(name) => {
            let names: Vec<&str> = root.get_subcommands().map(clap::Command::get_name).collect();
            let Some(found) = root.find_subcommand(name) else {
                return Err(Diagnostic::error("command-unknown", format!("there is no command `{name}`"))
                    .help(format!("there are {}", names.join(", ")))
                    .into());
            };
            found.clone()
        }
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut text)
        .map_err(|e| Diagnostic::error("internal", format!("cannot render the manual page: {e}")))?;
    io.bytes(&text)?;
    Ok(Exit::Nothing)
}
