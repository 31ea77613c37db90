//! Documents into text: Tera, formatting, escaping, Markdown parsing, graph formats.
//!
//! Purpose: the only place that formats numbers, escapes names and knows Markdown.
//! Input: typed documents. Output: [`Document`]s (path and text), never files.
//! Must not: read or write files, decide what is said, or look at a clock.

mod anchors;
mod escape;
mod filters;
pub mod format;
pub mod graph;
mod json;
pub mod links;
pub mod markdown;
mod renderer;
pub mod report;
mod text;
mod tidy;
pub mod toc;
mod view;
mod waterfall;

pub use renderer::{IndexContext, Renderer};
pub use view::Shelf;

/// A rendered file: where it belongs and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Document {
    /// Path relative to the output directory, `/` separated.
    pub path: String,
    /// Whole text.
    pub text: String,
}

#[cfg(test)]
mod sample;
