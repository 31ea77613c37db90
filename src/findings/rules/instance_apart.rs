//! `instance-apart`: one version, place or instance of a service fails or is slow significantly more than the rest.
//!
//! Why it matters: the service is not ill, this part of it is: it can be taken out or rolled back before anything is
//! understood. Remedy: look at what stands apart. A warning for failures, and for slowness while the service misses a latency
//! objective; else a note, since a far region may always be slower.

use std::collections::BTreeMap;

use super::{Rule, Severity, misses_latency, take};
use crate::findings::suspects::contrast::{self, Contrast, Respect};
use crate::findings::{Facts, Finding, words};

pub(super) static RULE: Rule =
    Rule { code: "instance-apart", description: "one version, place or instance does worse than the rest", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    contrast::all(facts.snapshot).iter().map(|contrast| finding(facts, contrast)).collect()
}

fn finding(facts: &Facts<'_>, c: &Contrast<'_>) -> Finding {
    let node = facts.snapshot.node(c.service);
    let (what, severity) = match c.respect {
        Respect::Failing => ("fail".to_owned(), Severity::Warning),
        Respect::Slow => {
            let above = words::seconds(c.slow_seconds());
            let missed = misses_latency(facts, c.service);
            (format!("take {above} or longer"), if missed { Severity::Warning } else { Severity::Info })
        }
    };
    let exemplars = node.map(|n| &n.handled.exemplars);
    Finding {
        code: RULE.code,
        severity,
        subject: c.service.clone(),
        target: None,
        operation: None,
        message: format!(
            "of the calls to `{}` with {} `{}` {} {what} (n = {}), of all others {} (n = {})",
            words::name(c.service),
            c.key,
            words::text(c.value),
            words::percent(c.this.share),
            c.this.n,
            words::percent(c.rest.share),
            c.rest.n
        ),
        #[allow(clippy::cast_precision_loss, reason = "counts")]
        context: BTreeMap::from([
            ("share", c.this.share),
            ("share_of_others", c.rest.share),
            ("n_of_others", c.rest.n as f64),
            ("p_value", c.p_value),
        ]),
        n: c.this.n,
        exemplars: exemplars
            .map(|e| take(if c.respect == Respect::Failing { &e.failed } else { &e.slow }))
            .unwrap_or_default(),
    }
}
