//! Documents into text: Tera, formatting, escaping, Markdown parsing, graph formats.
//!
//! Purpose: the only place that formats numbers, escapes names and knows Markdown.
//! Input: typed documents. Output: [`Document`]s (path and text), never files.
//! Must not: read or write files, decide what is said, or look at a clock.

mod stub;
pub use stub::{IndexContext, Renderer, graph, links, report, toc};

/// A rendered file: where it belongs and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Document {
    /// Path relative to the output directory, `/` separated.
    pub path: String,
    /// Whole text.
    pub text: String,
}
