//! Documents onto the disk: managed regions, comparison, atomic publishing.
//!
//! Purpose: the only module that writes files; keeps what people wrote and never leaves a directory half-written.
//! Also keeps the log of a receiver ([`Segments`]) and the answers of a long pull ([`Answers`]).
//! Input: rendered [`crate::render::Document`]s and a directory. Output: a [`Comparison`], or changed files.
//! Must not: print, decide what a page says, follow links out of the directory, or touch files it does not know.

mod answers;
mod compare;
mod failure;
mod folder;
mod journal;
mod publish;
pub mod regions;
mod segments;

pub use answers::Answers;
pub use compare::{Comparison, FileComparison, State, compare, compare_file, holds_pages, read_text, unified};
pub use folder::NewFolder;
pub use publish::{Write, preflight, preflight_file, publish, recover, refuse_existing, write_new};
pub use segments::Segments;

/// The directory that holds new files until all of them can be put in place.
pub const STAGING: &str = ".tracebook-staging";
