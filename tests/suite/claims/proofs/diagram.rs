//! The labels of edges in diagrams.

use crate::claims::numbers::Value;
use crate::claims::pattern::{Pattern, cell};

pub fn patterns() -> Vec<Pattern> {
    vec![cell(&["diagram"], "", "{r} · p99 {d}< · {%} err|>", |c| {
        let (source, target) = (c.facts.node(c.row(0))?, c.facts.node(c.row(1))?);
        let edge = c.facts.edge(source, target)?;
        let mut out = vec![Value::Exactly(c.facts.rate(edge.sums.calls)), edge.latency().quantile("99")?];
        out.extend((edge.sums.errors > 0.0).then(|| Value::Exactly(edge.sums.error_ratio())));
        Some(out)
    })]
}
