//! `--prometheus`: asks the queries of external objectives for the window of a snapshot, and keeps the answers in it.

use std::collections::BTreeMap;

use super::input::{Request, options};
use super::io::Io;
use super::progress::Bar;
use crate::diag::{Diagnostic, Location};
use crate::slo;
use crate::source::{self, Progress, SourceOptions};
use crate::topology::{External, Snapshot};

/// Queries asked for one snapshot, at most.
const MOST: usize = 1_000;
/// A query has no answer, for a reason of its own or that of another code.
const UNANSWERED: &str = "external-unanswered";
/// Objectives named in one warning before the rest is only counted.
const MOST_NAMED: usize = 5;

/// Fills [`Snapshot::external`] where a Prometheus is given, by the flag or as the only source. A query without an answer is
/// told, and its objective stays without data.
///
/// # Errors
/// `flag-without-effect` when no objective has a query, `external-too-many`, and what keeps from asking at all.
pub(super) fn measure(
    snapshot: &mut Snapshot,
    froms: &[String],
    request: &Request<'_>,
    io: &mut Io<'_>,
) -> Result<(), Diagnostic> {
    let given = request.connection.prometheus.as_deref();
    let Some(from) = given.or_else(|| froms.iter().map(String::as_str).find(|from| source::prometheus::claims(from)))
    else {
        return Ok(());
    };
    let objectives = &request.config.objectives;
    if objectives.iter().all(|objective| objective.query.is_none()) {
        return match given {
            None => Ok(()),
            Some(_) => {
                Err(Diagnostic::error("flag-without-effect", "--prometheus is given, but no objective has a `query`")
                    .help("leave it out, or add an objective with `sli: external` and a query to tracebook.yaml"))
            }
        };
    }
    let asked = slo::queries(objectives, snapshot);
    if asked.len() > MOST {
        let message = format!("objectives come to {} queries; {MOST} are asked at most", asked.len());
        return Err(Diagnostic::error("external-too-many", message)
            .help("narrow the patterns of their services, or split the configuration"));
    }
    let options = SourceOptions {
        window: Some((snapshot.window.start, snapshot.window.end)),
        query: None,
        ..options(from, request, 1)?
    };
    let queries: Vec<String> = asked.keys().cloned().collect();
    let source::prometheus::Answers { from, each } = {
        let bar = Bar::new(io.progress);
        bar.note("asking for external objectives");
        source::prometheus::answers(from, &options, &queries)?
    };
    snapshot.external.clear();
    // One pattern asks about many services: what keeps all from an answer is said once.
    let mut failed: BTreeMap<(&str, String, String), (Vec<&str>, Location)> = BTreeMap::new();
    for ((query, ids), answer) in asked.iter().zip(each) {
        match answer {
            Ok(source::prometheus::Answer { steps, n, min, low, high, max }) => {
                snapshot.external.push(External { query: query.clone(), steps, n, min, low, high, max });
            }
            Err(why) => {
                let place = Location { file: why.location.file, ..Location::default() };
                let (all, _) = failed.entry((why.code, why.message, why.help)).or_insert((Vec::new(), place));
                all.extend(ids.iter().map(String::as_str));
            }
        }
    }
    snapshot.provenance.external = if snapshot.external.is_empty() { Vec::new() } else { vec![from] };
    let told: Vec<Diagnostic> = failed
        .into_iter()
        .map(|((code, message, help), (ids, place))| {
            let message = format!("no data for {}: {message}", named(&ids));
            let message = if code == UNANSWERED { message } else { format!("{message} ({code})") };
            Diagnostic::warning(UNANSWERED, message).at(place).help(help)
        })
        .collect();
    io.diagnostics(&told);
    Ok(())
}

fn named(ids: &[&str]) -> String {
    let shown = ids.iter().take(MOST_NAMED).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    match ids.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
