//! The static list of rules, one file each.

use super::{Facts, Finding};

/// A rule: its code, one line of explanation, and a pure function.
#[derive(Debug)]
pub struct Rule {
    /// The code of its findings.
    pub code: &'static str,
    /// What it looks for, one line.
    pub description: &'static str,
    /// The rule.
    pub apply: fn(&Facts<'_>) -> Vec<Finding>,
}

/// Every rule there is.
pub static RULES: &[Rule] = &[];
