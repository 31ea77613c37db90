//! `--prometheus`: asks the queries of external objectives for the window of a snapshot, and keeps the answers in it.

use std::collections::{BTreeMap, BTreeSet};

use super::input::{Request, options};
use super::io::Io;
use super::progress::Bar;
use crate::diag::{Diagnostic, Location, Severity};
use crate::slo;
use crate::source::{self, Progress, SourceOptions};
use crate::spans::UnixNanos;
use crate::topology::{External, Snapshot};

/// Queries asked for one snapshot, at most.
const MOST: usize = 1_000;
/// A query has no answer, for a reason of its own or that of another code.
const UNANSWERED: &str = "external-unanswered";
/// Objectives named in one warning before the rest is only counted.
const MOST_NAMED: usize = 5;

/// Why queries have no answer: whether one is held already, code, message, help.
type Why = (bool, &'static str, String, String);

/// Fills [`Snapshot::external`] where a Prometheus is given, by the flag or as the only source. A query without an answer is
/// told; its objective has the answer that the snapshot held before, of the same window, or stays without data.
///
/// # Errors
/// `flag-without-effect` when no objective has a query, `external-too-many`, what keeps from asking at all, and with the flag
/// what keeps the server from answering any query.
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
    if snapshot.window.end == UnixNanos(0) {
        // A shard without spans covers no time to ask about.
        return Ok(());
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
    let answers = {
        let bar = Bar::new(io.progress);
        bar.note("asking for external objectives");
        source::prometheus::answers(from, &options, &queries)
    };
    let source::prometheus::Answers { from, each } = match answers {
        Ok(answers) => answers,
        // Whoever asks for values and gets none must not find pages without them in place of those that had them.
        Err(why) if given.is_some() => {
            let message = format!("no external objective could be measured, so nothing is written: {}", why.message);
            let help = format!("{}; or leave out --prometheus", why.help);
            return Err(Diagnostic { message, help, ..why });
        }
        Err(why) => {
            let message = format!("no external objective could be measured: {} ({})", why.message, why.code);
            io.diagnostics(&[Diagnostic { severity: Severity::Warning, code: UNANSWERED, message, ..why }]);
            return Ok(());
        }
    };
    // What was answered before is no less true for a server that does not answer now.
    let before = std::mem::take(&mut snapshot.external).into_iter().map(|answer| (answer.query.clone(), answer));
    let mut before: BTreeMap<String, External> = before.collect();
    let mut sources = BTreeSet::new();
    // One pattern asks about many services: what keeps all from an answer is said once.
    let mut failed: BTreeMap<Why, (Vec<&str>, Location)> = BTreeMap::new();
    for ((query, ids), answer) in asked.iter().zip(each) {
        match answer {
            Ok(source::prometheus::Answer { steps, n, min, low, high, max }) => {
                snapshot.external.push(External { query: query.clone(), steps, n, min, low, high, max });
                sources.insert(from.clone());
            }
            Err(why) => {
                let place = Location { file: why.location.file, ..Location::default() };
                let held = before.remove(query);
                let key = (held.is_some(), why.code, why.message, why.help);
                let (all, _) = failed.entry(key).or_insert((Vec::new(), place));
                all.extend(ids.iter().map(String::as_str));
                if let Some(held) = held {
                    snapshot.external.push(held);
                    sources.extend(snapshot.provenance.external.iter().cloned());
                }
            }
        }
    }
    snapshot.provenance.external = sources.into_iter().collect();
    let told: Vec<Diagnostic> = failed
        .into_iter()
        .map(|((held, code, message, help), (ids, place))| {
            let what = if held { "no new answer, so the snapshot's own is kept," } else { "no data" };
            let message = format!("{what} for {}: {message}", named(&ids));
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
