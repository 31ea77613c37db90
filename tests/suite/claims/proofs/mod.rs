//! Every kind of sentence and cell that holds a number, and how the number comes from the spans.
//!
//! Who adds a sentence with a number to a page adds a line here: the pattern, and a value for each hole but names.

mod apart;
mod dependency;
mod diagram;
mod errors;
mod evidence;
mod fixed;
mod impact;
mod latency;
mod origins;
mod pipeline;
mod scenario;
mod summary;
mod tables;
mod tail;
mod trigger;
mod waterfall;

pub use fixed::FIXED;

use super::pattern::Pattern;

/// All of them.
pub fn all() -> Vec<Pattern> {
    [
        summary::patterns(),
        trigger::patterns(),
        impact::patterns(),
        latency::patterns(),
        errors::patterns(),
        dependency::patterns(),
        pipeline::patterns(),
        scenario::patterns(),
        tables::patterns(),
        diagram::patterns(),
        evidence::patterns(),
        tail::patterns(),
        origins::patterns(),
        apart::patterns(),
        waterfall::patterns(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
