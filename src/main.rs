//! The `tracebook` command: hands arguments and streams to [`tracebook::cli::run`] and exits with its code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut stdin, mut stdout, mut stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    ExitCode::from(tracebook::cli::run(std::env::args_os(), &mut stdin, &mut stdout, &mut stderr))
}
