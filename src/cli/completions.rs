//! `completions`: for shells.

use clap::Args;
use clap_complete::Shell;

use super::io::{Io, Stop};
use super::{Exit, command};

const AFTER: &str = "\
Examples:
  tracebook completions bash > ~/.local/share/bash-completion/completions/tracebook
  tracebook completions zsh  > ~/.zfunc/_tracebook
  tracebook completions fish > ~/.config/fish/completions/tracebook.fish";

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "tracebook", &mut script);
    io.bytes(&script)?;
    Ok(Exit::Nothing)
}
