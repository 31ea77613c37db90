//! `--prometheus`: asks the queries of external objectives for the window of a snapshot, and keeps the answers in it.

use std::collections::BTreeSet;

use super::input::{Request, options};
use super::io::Io;
use super::progress::Bar;
use crate::diag::{Diagnostic, Location};
use crate::source::{self, Progress, SourceOptions};
use crate::topology::{External, Snapshot};

/// Queries asked for one snapshot, at most.
const MOST: usize = 200;

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
    let queries: BTreeSet<&str> = request.config.objectives.iter().filter_map(|o| o.query.as_deref()).collect();
    let given = request.connection.prometheus.as_deref();
    let Some(from) = given.or_else(|| froms.iter().map(String::as_str).find(|from| source::prometheus::claims(from)))
    else {
        return Ok(());
    };
    if queries.is_empty() {
        return match given {
            None => Ok(()),
            Some(_) => {
                Err(Diagnostic::error("flag-without-effect", "--prometheus is given, but no objective has a `query`")
                    .help("leave it out, or add an objective with `sli: external` and a query to tracebook.yaml"))
            }
        };
    }
    if queries.len() > MOST {
        let message = format!("{} objectives have queries of their own; {MOST} are asked at most", queries.len());
        return Err(Diagnostic::error("external-too-many", message).help("join queries, or split the configuration"));
    }
    let options = SourceOptions {
        window: Some((snapshot.window.start, snapshot.window.end)),
        query: None,
        ..options(from, request, 1)?
    };
    let queries: Vec<String> = queries.into_iter().map(str::to_owned).collect();
    let answers = {
        let bar = Bar::new(io.progress);
        bar.note("asking for external objectives");
        source::prometheus::answers(from, &options, &queries)?
    };
    snapshot.external.clear();
    let mut told = Vec::new();
    for (query, answer) in queries.into_iter().zip(answers) {
        match answer {
            Ok(source::prometheus::Answer { steps, n, min, low, high, max }) => {
                snapshot.external.push(External { query, steps, n, min, low, high, max });
            }
            Err(why) => {
                let ids: Vec<&str> = request
                    .config
                    .objectives
                    .iter()
                    .filter(|objective| objective.query.as_ref() == Some(&query))
                    .map(|objective| objective.id.as_str())
                    .collect();
                let message = format!("the objective {} has no data: {} ({})", ids.join(", "), why.message, why.code);
                let place = Location { file: why.location.file, ..Location::default() };
                told.push(Diagnostic::warning("external-unanswered", message).at(place).help(why.help));
            }
        }
    }
    io.diagnostics(&told);
    Ok(())
}
