//! The typed runbook: everything a page says, nothing about how it looks.

use serde::{Deserialize, Serialize};

use crate::diag::Severity;
use crate::spans::UnixNanos;
use crate::topology::{Coverage, EdgeKind, NodeId, NodeKind, Window};

/// A part of a sentence. Which variant a text is in decides how it is escaped, so that no span name can become markup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Piece {
    /// Plain words of ours. Escaped as Markdown text all the same.
    Words(String),
    /// A name from the traces (service, operation, attribute): shown as code. Untrusted.
    Code(String),
    /// Seconds.
    Duration(f64),
    /// 0..=1, shown as a percentage.
    Ratio(f64),
    /// A number of things.
    Count(f64),
    /// Things per second.
    Rate(f64),
    /// An instant.
    Time(UnixNanos),
    /// A link to another runbook of this directory, by id (`RB-002`).
    Runbook(String),
    /// A link somewhere else: (text, absolute URL).
    Link(String, String),
    /// Markdown the team wrote in its own configuration: kept as it is.
    Markdown(String),
}

/// A sentence or a paragraph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub Vec<Piece>);

impl Text {
    /// Plain words.
    #[must_use]
    pub fn words(words: impl Into<String>) -> Self {
        Self(vec![Piece::Words(words.into())])
    }

    /// Text the team wrote.
    #[must_use]
    pub fn markdown(markdown: impl Into<String>) -> Self {
        Self(vec![Piece::Markdown(markdown.into())])
    }

    /// The same with plain words added.
    #[must_use]
    pub fn and(mut self, words: impl Into<String>) -> Self {
        let words = words.into();
        if !words.is_empty() {
            self.0.push(Piece::Words(words));
        }
        self
    }

    /// The same with a separator added, unless nothing is said yet.
    #[must_use]
    pub fn sep(self, words: &str) -> Self {
        if self.is_empty() { self } else { self.and(words) }
    }

    /// The same with a name from the traces added.
    #[must_use]
    pub fn code(mut self, name: impl Into<String>) -> Self {
        self.0.push(Piece::Code(name.into()));
        self
    }

    /// The same with any piece added.
    #[must_use]
    pub fn piece(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }

    /// The same with seconds added.
    #[must_use]
    pub fn duration(self, seconds: f64) -> Self {
        self.piece(Piece::Duration(seconds))
    }

    /// The same with a share (0..=1) added.
    #[must_use]
    pub fn ratio(self, ratio: f64) -> Self {
        self.piece(Piece::Ratio(ratio))
    }

    /// The same with a number of things added.
    #[must_use]
    pub fn count(self, count: f64) -> Self {
        self.piece(Piece::Count(count))
    }

    /// The same with things per second added.
    #[must_use]
    pub fn rate(self, per_second: f64) -> Self {
        self.piece(Piece::Rate(per_second))
    }

    /// The same with an instant added.
    #[must_use]
    pub fn time(self, instant: UnixNanos) -> Self {
        self.piece(Piece::Time(instant))
    }

    /// The same with a link to another runbook added.
    #[must_use]
    pub fn runbook(self, id: impl Into<String>) -> Self {
        self.piece(Piece::Runbook(id.into()))
    }

    /// The same with another text added.
    #[must_use]
    pub fn append(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a runbook is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunbookKind {
    /// A service is slow.
    Latency,
    /// A service fails.
    Errors,
    /// A dependency (database, external, service) fails.
    Dependency,
    /// A topic is not consumed.
    Pipeline,
    /// Declared in the configuration.
    Scenario,
}

/// What the snapshot says about the trigger now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunbookState {
    /// The objective was missed in the window.
    Breached,
    /// Nothing is wrong in the window.
    Ok,
    /// Traces cannot tell.
    Unknown,
    /// The runbook is no longer generated: its page points on.
    Retired,
}

/// The seven sections of a page, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// What fires.
    Trigger,
    /// Who is hit.
    Impact,
    /// What to look at, in order.
    Diagnosis,
    /// What to do.
    Remediation,
    /// How to know it worked.
    Verification,
    /// Whom to call, when.
    Escalation,
    /// Numbers, diagram, exemplars, what the page does not know.
    Evidence,
}

/// One step of diagnosis, remediation or verification.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What to look at or do, one sentence.
    pub title: Text,
    /// Why, with the numbers. May be empty.
    pub detail: Text,
    /// A command or query to paste; empty when there is none. Never invented: from a platform pack or the configuration.
    pub command: String,
    /// Language of the code fence: `bash`, `promql`, `traceql`, `sql`.
    pub language: String,
    /// What one should see. May be empty.
    pub expect: Text,
    /// What it means if not, and where to go next. May be empty.
    pub otherwise: Text,
    /// Whether it changes state (remediation only); diagnosis steps are read-only.
    pub changes_state: bool,
    /// What must hold before (state-changing steps). May be empty.
    pub precondition: Text,
    /// How to undo it (state-changing steps). May be empty.
    pub undo: Text,
}

/// One step of the escalation path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscalationStep {
    /// After how long without recovery, as configured (`15m`); empty for at once.
    pub after: String,
    /// Whom to call, as configured.
    pub who: String,
    /// How to reach them, as configured. May be empty.
    pub contact: String,
}

/// A trace to open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceRef {
    /// Why this one: `slow`, `failed`, `typical`.
    pub class: String,
    /// 32 hex digits.
    pub trace_id: String,
    /// 16 hex digits.
    pub span_id: String,
    /// When.
    pub start: UnixNanos,
    /// Seconds.
    pub duration_seconds: f64,
    /// Links built from the configured bases: (name, URL).
    pub links: Vec<(String, String)>,
}

/// A table of numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceTable {
    /// Heading.
    pub title: String,
    /// One sentence on how to read it. May be empty.
    pub note: Text,
    /// Column headings.
    pub columns: Vec<String>,
    /// Rows, already ordered.
    pub rows: Vec<EvidenceRow>,
}

/// One row: a cell for each column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRow {
    /// Cells.
    pub cells: Vec<Text>,
}

/// A node of the neighbourhood diagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagramNode {
    /// Identity.
    pub id: NodeId,
    /// Its shape.
    pub kind: NodeKind,
    /// Untrusted label.
    pub label: String,
    /// Whether the page is about it.
    pub focus: bool,
    /// Whether something is wrong with it in the window.
    pub alarmed: bool,
}

/// An edge of the neighbourhood diagram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiagramEdge {
    /// Caller.
    pub source: NodeId,
    /// Callee.
    pub target: NodeId,
    /// Its line.
    pub kind: EdgeKind,
    /// Calls.
    pub calls: f64,
    /// p99 in seconds, where known.
    pub p99_seconds: Option<f64>,
    /// Errors ÷ calls.
    pub error_ratio: f64,
}

/// Who calls the focus and whom it calls. Bounded: at most 30 nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagram {
    /// Sorted by id.
    pub nodes: Vec<DiagramNode>,
    /// Sorted by (source, target).
    pub edges: Vec<DiagramEdge>,
    /// Nodes left out because of the bound.
    pub omitted: usize,
}

/// One span of a request in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaterfallSpan {
    /// How deep below the first span.
    pub depth: usize,
    /// Which service. Untrusted text.
    pub service: String,
    /// Its name. Untrusted text.
    pub operation: String,
    /// Seconds after the start of the first span; negative where clocks differ.
    pub start_seconds: f64,
    /// Seconds.
    pub duration_seconds: f64,
    /// Of which the request waited for this very span, not for one below it.
    pub critical_seconds: f64,
    /// Whether it failed.
    pub failed: bool,
}

/// What one request looked like: still there when the trace has expired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waterfall {
    /// The trace, and why this one.
    pub trace: TraceRef,
    /// Spans that are left out, the least important ones.
    pub omitted: u64,
    /// Parents first.
    pub spans: Vec<WaterfallSpan>,
}

/// What the page's claims rest on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The time covered.
    pub window: Window,
    /// What was seen and lost.
    pub coverage: Coverage,
    /// The neighbourhood.
    pub diagram: Diagram,
    /// Numbers.
    pub tables: Vec<EvidenceTable>,
    /// Traces to open.
    pub traces: Vec<TraceRef>,
    /// A slow or failed request and a normal one, span by span.
    pub waterfalls: Vec<Waterfall>,
    /// What this page does not know, one sentence each.
    pub unknowns: Vec<Text>,
    /// Sources of the snapshot, from its provenance.
    pub sources: Vec<String>,
    /// What had to match to be read, as a sentence; `None` where all was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered: Option<Text>,
    /// Digest of the spans, from its provenance.
    pub spans_digest: String,
}

/// One runbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// `RB-001`.
    pub id: String,
    /// `api-high-latency`: lower-case letters, digits and hyphens.
    pub slug: String,
    /// Stable key in the ledger: `latency:shop/api`, `errors:…`, `dependency:…`, `pipeline:…`, `scenario:…`.
    pub key: String,
    /// What it is about.
    pub kind: RunbookKind,
    /// Title without the id.
    pub title: Text,
    /// The state in one sentence: what is wrong or could be.
    pub summary: Text,
    /// State.
    pub state: RunbookState,
    /// Worst severity of its objective or findings.
    pub severity: Severity,
    /// `page` or `ticket`, as configured.
    pub urgency: String,
    /// Owning team, as configured or observed (`service.owner.name`); empty when not known.
    pub owner: String,
    /// Node the page is about, where there is one.
    pub focus: Option<NodeId>,
    /// One line for the table of contents: the condition that fires (`p99 latency < 500ms is missed`).
    pub trigger: Text,
    /// More about the trigger: objective, window, current value with n and interval.
    pub trigger_detail: Vec<Text>,
    /// Who is hit, most important first.
    pub impact: Vec<Text>,
    /// Ordered by evidence; read-only.
    pub diagnosis: Vec<Step>,
    /// What to do.
    pub remediation: Vec<Step>,
    /// How to know that it worked.
    pub verification: Vec<Step>,
    /// Whom to call.
    pub escalation: Vec<EscalationStep>,
    /// What it rests on.
    pub evidence: Evidence,
    /// Ids of related runbooks (callers, callees), sorted.
    pub related: Vec<String>,
    /// For a retired runbook: the id that takes over, if any.
    pub successor: Option<String>,
}

impl Runbook {
    /// `RB-001-api-high-latency.md`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.md", self.id, self.slug)
    }
}
