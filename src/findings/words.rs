//! Numbers and names in the one-line messages for terminals. Pages format the context values themselves.

use crate::topology::NodeId;

/// `12.3 %`.
pub(super) fn percent(ratio: f64) -> String {
    let value = ratio * 100.0;
    if value >= 10.0 { format!("{value:.0} %") } else { format!("{value:.2} %") }
}

/// `340 ms`.
pub(super) fn seconds(value: f64) -> String {
    let (scaled, unit) = if value < 1e-3 {
        (value * 1e6, "µs")
    } else if value < 1.0 {
        (value * 1e3, "ms")
    } else {
        (value, "s")
    };
    if scaled >= 100.0 { format!("{scaled:.0} {unit}") } else { format!("{scaled:.1} {unit}") }
}

/// Text of unknown origin, short enough for a line and without control characters.
pub(super) fn text(untrusted: &str) -> String {
    let clean: String = untrusted.chars().filter(|c| !c.is_control()).take(100).collect();
    if untrusted.chars().nth(100).is_some() { format!("{clean}…") } else { clean }
}

/// The id of a node, likewise.
pub(super) fn name(id: &NodeId) -> String {
    text(&id.0)
}

/// `1 span`, `2 spans`.
pub(super) fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_and_names_stay_on_their_line() {
        assert_eq!((percent(0.1234), percent(0.0012)), ("12 %".into(), "0.12 %".into()));
        assert_eq!(
            (seconds(0.0000015), seconds(0.34), seconds(2.0)),
            ("1.5 µs".into(), "340 ms".into(), "2.0 s".into())
        );
        assert_eq!(text("a\n\u{1b}[31mb"), "a[31mb");
        assert!(text(&"x".repeat(1 << 20)).chars().count() <= 101);
    }
}
