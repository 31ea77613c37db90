//! `sampling-not-adjustable`: spans do not say how they were sampled.
//!
//! Why it matters: counts and rates are of the spans seen, which may be a sample; ratios and latencies hold as long as the
//! sampler did not look at them. Mixed spans (some say, some do not) are a warning: their sums mean nothing exact.
//! Remedy: use samplers that write `ot=th:` into the trace state, or name the rate attribute in the configuration.

use super::{Rule, Severity, whole};
use crate::findings::{Facts, Finding, words};
use crate::topology::SnapshotKind;

pub(super) static RULE: Rule =
    Rule { code: "sampling-not-adjustable", description: "spans do not say how they were sampled", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let coverage = &facts.snapshot.coverage;
    if facts.snapshot.provenance.kind == SnapshotKind::Aggregate || coverage.spans == 0 || coverage.adjustable() {
        return Vec::new();
    }
    let silent = coverage.spans.saturating_sub(coverage.sampled);
    let (severity, message) = if coverage.left_out_traces > 0 {
        let out = words::count(coverage.left_out_traces, "trace");
        (Severity::Warning, format!("{out} of the window were left out of the sample: counts are of the others only"))
    } else if coverage.sampled == 0 {
        (Severity::Info, "no span says how it was sampled: counts are of spans seen".to_owned())
    } else {
        let spans = words::count(silent, "span");
        (Severity::Warning, format!("{spans} do not say how they were sampled, the others do: counts mix both"))
    };
    let n = if coverage.left_out_traces > 0 { coverage.left_out_traces } else { silent };
    vec![whole(facts, RULE.code, severity, n, message)]
}
