//! Flags that mean nothing for what is read: an answer to another question than the one asked would pass for the one.

use super::Request;
use super::named::{is_local, snapshot_file};
use crate::cli::args::Which;
use crate::diag::Diagnostic;
use crate::source;

/// Refuses flags that choose among spans where nothing is left to choose: an answer to another question than the one
/// asked would pass for the one.
///
/// # Errors
/// `flag-without-effect`.
pub(in crate::cli) fn refuse_idle_flags(froms: &[String], request: &Request<'_>) -> Result<(), Diagnostic> {
    if froms.is_empty() {
        return Ok(());
    }
    if froms.iter().all(|f| snapshot_file(f).is_some()) {
        return refuse_idle(&window_flags(request), "a snapshot");
    }
    if froms.iter().all(|f| source::counts(f)) {
        let examples = froms.iter().any(|f| source::exemplifies(f));
        let idle = [
            (request.connection.rate_attribute.is_some(), "--rate-attribute"),
            (request.shard.is_some(), "--shard"),
            (request.connection.max_traces.is_some() && !examples, "--max-traces"),
            (request.connection.sample == Which::MostRecent, "--sample"),
        ];
        return refuse_idle(&given(idle), "a backend that counts by itself");
    }
    if request.connection.max_traces == Some(0) {
        return Err(Diagnostic::error("flag-without-effect", "--max-traces 0 leaves no trace to read")
            .help("with --aggregate it means: no examples; otherwise give a number from 1 on"));
    }
    if froms.iter().all(|f| is_local(f)) {
        let connection = request.connection;
        let flags = [(connection.query.is_some(), "--query"), (connection.max_traces.is_some(), "--max-traces")];
        return refuse_idle(&given(flags), "trace files");
    }
    Ok(())
}

pub(in crate::cli) fn refuse_idle(flags: &[&str], on: &str) -> Result<(), Diagnostic> {
    if flags.is_empty() {
        return Ok(());
    }
    let message = format!("{} cannot be applied to {on}", flags.join(", "));
    Err(Diagnostic::error("flag-without-effect", message)
        .help("leave it out, or give --from a source it can be applied to"))
}

/// Flags given that choose among spans or weigh them.
pub(in crate::cli) fn window_flags(request: &Request<'_>) -> Vec<&'static str> {
    let (window, connection) = (request.window, request.connection);
    given([
        (window.lookback.is_some(), "--lookback"),
        (window.lookback_hours.is_some(), "--lookback-hours"),
        (window.start.is_some(), "--start"),
        (window.end.is_some(), "--end"),
        (connection.query.is_some(), "--query"),
        (connection.max_traces.is_some(), "--max-traces"),
        (connection.rate_attribute.is_some(), "--rate-attribute"),
        (request.shard.is_some(), "--shard"),
    ])
}

pub(in crate::cli) fn given<const N: usize>(flags: [(bool, &'static str); N]) -> Vec<&'static str> {
    flags.into_iter().filter_map(|(given, flag)| given.then_some(flag)).collect()
}
