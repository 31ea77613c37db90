//! Burn rates: how fast the error budget is being spent, over a long and a short window at once.
//!
//! Input: calls and errors per 5 minutes, the end of the snapshot, the budget. Output: [`BurnRate`]s for the windows the
//! snapshot covers. The windows are data (`windows.json`, with its source); factors are derived from them.

use serde::{Deserialize, Serialize};

use super::units::tidy;
use crate::topology::{Series, Window};

/// One row of the multiwindow table, applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BurnRate {
    /// `page` or `ticket`: what the source recommends when both windows burn too fast.
    pub severity: String,
    /// Length of the long window in seconds.
    pub long_seconds: u64,
    /// Length of the short window in seconds.
    pub short_seconds: u64,
    /// Burn rate above which it alerts: 1 spends the whole budget in exactly the objective's window.
    pub factor: f64,
    /// Burn rate over the long window, ending with the snapshot: error ratio ÷ allowed error ratio.
    pub long: f64,
    /// Burn rate over the short window.
    pub short: f64,
    /// Whether both are above the factor.
    pub firing: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Table {
    slo_window_seconds: u64,
    windows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
struct Row {
    severity: String,
    budget_percent: u64,
    long_seconds: u64,
    short_seconds: u64,
}

/// The embedded table. A test proves that it can be read.
pub(super) fn table() -> Table {
    serde_json::from_str(include_str!("windows.json")).unwrap_or_default()
}

/// Burn rates of an objective that allows `allowed` errors per call over `window_seconds` (the table's own when `None`).
/// Empty when nothing is allowed or the snapshot is shorter than the windows. Buckets are 5 minutes wide, so each window
/// begins up to 5 minutes early.
#[allow(clippy::cast_precision_loss, reason = "window lengths")]
pub(super) fn rates(
    table: &Table,
    series: &Series,
    covered: Window,
    allowed: f64,
    window_seconds: Option<u64>,
) -> Vec<BurnRate> {
    let slo_window = window_seconds.unwrap_or(table.slo_window_seconds) as f64;
    let rate = |seconds: u64| {
        let from = (covered.end.0 / 1_000_000_000).saturating_sub(seconds) / Series::SECONDS;
        let buckets = series.0.range(from..).map(|(_, bucket)| bucket);
        let (calls, errors) = buckets.fold((0.0, 0.0), |(c, e), b| (c + b.calls.as_f64(), e + b.errors.as_f64()));
        if calls > 0.0 { errors / calls / allowed } else { 0.0 }
    };
    let usable = |row: &&Row| {
        allowed > 0.0 && row.long_seconds as f64 <= covered.seconds() && row.long_seconds as f64 <= slo_window
    };
    table
        .windows
        .iter()
        .filter(usable)
        .map(|row| {
            let factor = row.budget_percent as f64 * slo_window / (100.0 * row.long_seconds as f64);
            let (long, short) = (rate(row.long_seconds), rate(row.short_seconds));
            BurnRate {
                severity: row.severity.clone(),
                long_seconds: row.long_seconds,
                short_seconds: row.short_seconds,
                factor: tidy(factor),
                long: tidy(long),
                short: tidy(short),
                firing: long > factor && short > factor,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::testing::{series, window};

    #[test]
    fn the_table_yields_the_factors_of_the_workbook() {
        let long = window(0, 4 * 86_400);
        let factors: Vec<f64> =
            rates(&table(), &Series::default(), long, 0.001, None).iter().map(|b| b.factor).collect();
        assert_eq!(factors, [14.4, 6.0, 3.0, 1.0]);
    }

    #[test]
    fn a_fast_burn_fires_and_a_past_one_does_not() {
        // 2 h in 5-minute buckets of 100 calls; 2 % errors in the second hour only, 0.1 % allowed.
        let burning = series((0..24).map(|i| (i, 100, if i >= 12 { 2 } else { 0 })));
        let two_hours = window(0, 7_200);
        let page = &rates(&table(), &burning, two_hours, 0.001, None)[0];
        assert!(page.firing && (page.short - 20.0).abs() < 1e-9, "{page:?}");
        let over = series((0..24).map(|i| (i, 100, if i < 12 { 2 } else { 0 })));
        assert!(!rates(&table(), &over, two_hours, 0.001, None)[0].firing);
    }

    #[test]
    fn a_short_snapshot_has_no_burn_rates() {
        assert!(rates(&table(), &series([(0, 100, 50)]), window(0, 600), 0.001, None).is_empty());
        assert!(rates(&table(), &series([(0, 100, 50)]), window(0, 7_200), 0.0, None).is_empty());
    }
}
