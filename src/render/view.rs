//! What templates see: plain serialisable values, numbers raw, texts typed. Documented in `docs/template-authoring.md`.
//!
//! Input: a [`Runbook`] and its neighbours in the directory. Output: [`PageView`] and [`IndexView`].
//! Must not: format numbers or escape (filters do), or hold anything but data.

use std::collections::BTreeMap;

use serde::Serialize;

use super::text::{Files, ViewText};
use super::{graph, waterfall};
use crate::runbook::{EvidenceTable, Missed, Runbook, RunbookKind, RunbookState, Step, Text, TraceRef, Waterfall};
use crate::topology::{Coverage, NodeId, Snapshot, Window, query};

/// Root of a page's context.
#[derive(Debug, Serialize)]
pub(super) struct PageView {
    tool: ToolView,
    runbook: RunbookView,
    evidence: EvidenceView,
}

/// Root of the index's context.
#[derive(Debug, Serialize)]
pub(super) struct IndexView {
    pub(super) tool: ToolView,
    pub(super) project: String,
    pub(super) active: Vec<RowView>,
    pub(super) retired: Vec<RowView>,
    pub(super) missed: Vec<MissedView>,
    pub(super) counts: CountsView,
    pub(super) window: WindowView,
    pub(super) seen_only: Option<WindowView>,
    pub(super) coverage: CoverageView,
    pub(super) filtered: Option<ViewText>,
    pub(super) overview: DiagramView,
    pub(super) shape: ShapeView,
    pub(super) nodes: usize,
    pub(super) edges: usize,
}

/// What the graph as a whole looks like. Node ids, untrusted.
#[derive(Debug, Serialize)]
pub(super) struct ShapeView {
    cycles: Vec<Vec<String>>,
    single_points: Vec<PointView>,
    chain: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PointView {
    name: String,
    entry_share: Option<f64>,
}

impl ShapeView {
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let graph = query::Graph::new(snapshot);
        let texts = |ids: Vec<NodeId>| ids.into_iter().map(|id| id.0).collect();
        let point = |id: NodeId| PointView { entry_share: graph.entry_share(&id), name: id.0 };
        Self {
            cycles: graph.cycles().into_iter().take(SHOWN).map(texts).collect(),
            single_points: graph.single_points_of_failure().into_iter().take(SHOWN).map(point).collect(),
            chain: texts(graph.longest_synchronous_chain().into_iter().take(2 * SHOWN).collect()),
        }
    }
}

/// Circles and single points shown in the index; of a chain twice as many members.
const SHOWN: usize = 20;

#[derive(Debug, Serialize)]
pub(super) struct ToolView {
    name: &'static str,
    version: &'static str,
}

impl ToolView {
    pub(super) const THIS: Self = Self { name: "tracebook", version: env!("CARGO_PKG_VERSION") };
}

/// A missed objective that no runbook is about.
#[derive(Debug, Serialize)]
pub(super) struct MissedView {
    id: String,
    service: String,
    observed: ViewText,
    target: String,
    urgency: String,
}

impl MissedView {
    pub(super) fn new(missed: &Missed, files: &Files) -> Self {
        Self {
            id: missed.id.clone(),
            service: missed.service.0.clone(),
            observed: ViewText::new(&missed.observed, files),
            target: missed.target.clone(),
            urgency: missed.urgency.clone(),
        }
    }
}

/// How many runbooks are in which state.
#[derive(Debug, Default, Serialize)]
pub(super) struct CountsView {
    breached: usize,
    ok: usize,
    unknown: usize,
    retired: usize,
}

#[derive(Debug, Serialize)]
struct RunbookView {
    id: String,
    slug: String,
    key: String,
    file: String,
    kind: RunbookKind,
    title: ViewText,
    summary: ViewText,
    state: RunbookState,
    state_label: &'static str,
    severity: &'static str,
    urgency: String,
    owner: String,
    focus: Option<String>,
    trigger: ViewText,
    trigger_detail: Vec<ViewText>,
    impact: Vec<ViewText>,
    diagnosis: Vec<StepView>,
    remediation: Vec<StepView>,
    verification: Vec<StepView>,
    escalation: Vec<EscalationView>,
    related: Vec<RowView>,
    successor: Option<RowView>,
    first_look: FirstLookView,
}

/// What the top of the page answers.
#[derive(Debug, Serialize)]
struct FirstLookView {
    impact: Option<ViewText>,
    step: Option<ViewText>,
}

#[derive(Debug, Serialize)]
struct StepView {
    number: usize,
    title: ViewText,
    detail: ViewText,
    command: String,
    language: String,
    expect: ViewText,
    otherwise: ViewText,
    changes_state: bool,
    precondition: ViewText,
    undo: ViewText,
}

#[derive(Debug, Serialize)]
struct EscalationView {
    after: String,
    who: String,
    contact: ViewText,
}

/// One runbook in a table or list.
#[derive(Debug, Clone, Serialize)]
pub(super) struct RowView {
    pub(super) id: String,
    pub(super) file: Option<String>,
    pub(super) slug: String,
    pub(super) title: ViewText,
    pub(super) trigger: ViewText,
    pub(super) state: RunbookState,
    pub(super) state_label: &'static str,
    pub(super) owner: String,
    pub(super) link: ViewText,
    pub(super) successor: Option<ViewText>,
}

#[derive(Debug, Serialize)]
struct EvidenceView {
    window: WindowView,
    coverage: CoverageView,
    diagram: DiagramView,
    tables: Vec<TableView>,
    traces: Vec<TraceView>,
    traces_have_links: bool,
    waterfalls: Vec<WaterfallView>,
    unknowns: Vec<ViewText>,
    sources: Vec<String>,
    filtered: Option<ViewText>,
    spans_digest: String,
}

#[derive(Debug, Serialize)]
pub(super) struct WindowView {
    start: String,
    end: String,
    seconds: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct CoverageView {
    spans: u64,
    traces: u64,
    adjustable: bool,
    sampled: u64,
    /// What was lost or odd, only where it occurred.
    losses: Vec<LossView>,
}

#[derive(Debug, Serialize)]
struct LossView {
    what: String,
    n: u64,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct DiagramView {
    pub(super) mermaid: String,
    pub(super) nodes: usize,
    pub(super) omitted: usize,
}

#[derive(Debug, Serialize)]
struct TableView {
    title: String,
    note: ViewText,
    columns: Vec<String>,
    rows: Vec<Vec<ViewText>>,
}

#[derive(Debug, Serialize)]
struct TraceView {
    class: String,
    trace_id: String,
    span_id: String,
    start: String,
    duration_seconds: f64,
    links: Vec<ViewText>,
}

/// A request drawn as text.
#[derive(Debug, Serialize)]
struct WaterfallView {
    trace: TraceView,
    column_seconds: f64,
    text: String,
    omitted: u64,
}

/// Ids → file names.
pub(super) fn files(all: &[Runbook]) -> Files {
    all.iter().map(|r| (r.id.clone(), r.file_name())).collect()
}

/// The runbooks of a directory, indexed once for all its pages.
#[derive(Debug, Clone)]
pub struct Shelf<'a> {
    files: Files,
    by_id: BTreeMap<&'a str, &'a Runbook>,
}

impl<'a> Shelf<'a> {
    /// The index of these runbooks.
    #[must_use]
    pub fn new(all: &'a [Runbook]) -> Self {
        // Of two with one id the first counts.
        let by_id = all.iter().rev().map(|r| (r.id.as_str(), r)).collect();
        Self { files: files(all), by_id }
    }
}

impl PageView {
    pub(super) fn new(runbook: &Runbook, shelf: &Shelf<'_>) -> Self {
        Self {
            tool: ToolView::THIS,
            runbook: RunbookView::new(runbook, shelf),
            evidence: EvidenceView::new(runbook, &shelf.files),
        }
    }
}

impl RunbookView {
    fn new(runbook: &Runbook, shelf: &Shelf<'_>) -> Self {
        let files = &shelf.files;
        let text = |t: &Text| ViewText::new(t, files);
        let row = |id: &String| RowView::find(id, shelf);
        Self {
            id: runbook.id.clone(),
            slug: runbook.slug.clone(),
            key: runbook.key.clone(),
            file: runbook.file_name(),
            kind: runbook.kind,
            title: text(&runbook.title),
            summary: text(&runbook.summary),
            state: runbook.state,
            state_label: state_label(runbook.state),
            severity: runbook.severity.name(),
            urgency: runbook.urgency.clone(),
            owner: runbook.owner.clone(),
            focus: runbook.focus.as_ref().map(|id| id.0.clone()),
            trigger: text(&runbook.trigger),
            trigger_detail: runbook.trigger_detail.iter().map(text).collect(),
            impact: runbook.impact.iter().map(text).collect(),
            diagnosis: steps(&runbook.diagnosis, files),
            remediation: steps(&runbook.remediation, files),
            verification: steps(&runbook.verification, files),
            escalation: runbook
                .escalation
                .iter()
                .map(|e| EscalationView {
                    after: e.after.clone(),
                    who: e.who.clone(),
                    contact: ViewText::contact(&e.contact),
                })
                .collect(),
            related: runbook.related.iter().map(row).collect(),
            successor: runbook.successor.as_ref().map(row),
            first_look: FirstLookView {
                impact: runbook.impact.first().map(text),
                step: runbook.diagnosis.first().map(|s| text(&s.title)),
            },
        }
    }
}

/// The state in words, as it begins a sentence.
pub(super) fn state_label(state: RunbookState) -> &'static str {
    match state {
        RunbookState::Breached => "Breached",
        RunbookState::Ok => "OK",
        RunbookState::Unknown => "Unknown",
        RunbookState::Retired => "Retired",
    }
}

fn steps(steps: &[Step], files: &Files) -> Vec<StepView> {
    let text = |t: &Text| ViewText::new(t, files);
    let view = |(i, step): (usize, &Step)| StepView {
        number: i + 1,
        title: text(&step.title),
        detail: text(&step.detail),
        command: step.command.trim().to_owned(),
        language: step.language.clone(),
        expect: text(&step.expect),
        otherwise: text(&step.otherwise),
        changes_state: step.changes_state,
        precondition: text(&step.precondition),
        undo: text(&step.undo),
    };
    steps.iter().enumerate().map(view).collect()
}

impl RowView {
    pub(super) fn new(runbook: &Runbook, files: &Files) -> Self {
        let link = |id: &String| ViewText::new(&Text(vec![crate::runbook::Piece::Runbook(id.clone())]), files);
        Self {
            id: runbook.id.clone(),
            file: Some(runbook.file_name()),
            slug: runbook.slug.clone(),
            title: ViewText::new(&runbook.title, files),
            trigger: ViewText::new(&runbook.trigger, files),
            state: runbook.state,
            state_label: state_label(runbook.state),
            owner: runbook.owner.clone(),
            link: link(&runbook.id),
            successor: runbook.successor.as_ref().map(link),
        }
    }

    /// The runbook with this id, or a row that says no more than the id.
    fn find(id: &str, shelf: &Shelf<'_>) -> Self {
        if let Some(runbook) = shelf.by_id.get(id) {
            return Self::new(runbook, &shelf.files);
        }
        Self {
            id: id.to_owned(),
            file: None,
            slug: String::new(),
            title: ViewText::default(),
            trigger: ViewText::default(),
            state: RunbookState::Unknown,
            state_label: state_label(RunbookState::Unknown),
            owner: String::new(),
            link: ViewText::words(id),
            successor: None,
        }
    }
}

impl CountsView {
    pub(super) fn new(runbooks: &[Runbook]) -> Self {
        let mut counts = Self::default();
        for runbook in runbooks {
            match runbook.state {
                RunbookState::Breached => counts.breached += 1,
                RunbookState::Ok => counts.ok += 1,
                RunbookState::Unknown => counts.unknown += 1,
                RunbookState::Retired => counts.retired += 1,
            }
        }
        counts
    }
}

impl EvidenceView {
    fn new(runbook: &Runbook, files: &Files) -> Self {
        let evidence = &runbook.evidence;
        Self {
            window: WindowView::new(evidence.window),
            coverage: CoverageView::new(&evidence.coverage),
            diagram: DiagramView {
                mermaid: graph::neighbourhood(&evidence.diagram, evidence.window.seconds()),
                nodes: evidence.diagram.nodes.len(),
                omitted: evidence.diagram.omitted,
            },
            tables: evidence.tables.iter().map(|t| TableView::new(t, files)).collect(),
            traces: evidence.traces.iter().map(TraceView::new).collect(),
            traces_have_links: evidence.traces.iter().any(|t| !t.links.is_empty()),
            waterfalls: WaterfallView::all(&evidence.waterfalls),
            unknowns: evidence.unknowns.iter().map(|t| ViewText::new(t, files)).collect(),
            sources: evidence.sources.clone(),
            filtered: evidence.filtered.as_ref().map(|t| ViewText::new(t, files)),
            spans_digest: evidence.spans_digest.clone(),
        }
    }
}

impl WindowView {
    pub(super) fn new(window: Window) -> Self {
        Self { start: window.start.to_string(), end: window.end.to_string(), seconds: window.seconds() }
    }
}

impl CoverageView {
    pub(super) fn new(coverage: &Coverage) -> Self {
        let fixed = [
            ("traces without a root span", coverage.rootless_traces),
            ("spans whose parent is missing", coverage.orphans),
            ("client spans whose peer is not known", coverage.unpaired),
            ("duplicate spans removed", coverage.duplicates),
            ("spans with clocks that disagree", coverage.skewed),
            ("spans without an end", coverage.no_duration),
            ("links whose other end is missing", coverage.unresolved_links),
            ("traces given only in part", coverage.partial_traces),
            ("traces left out of the sample", coverage.left_out_traces),
            ("spans ignored by a rule", coverage.ignored),
            ("spans of gateways looked through", coverage.transparent),
        ];
        let fixed = fixed.iter().map(|(what, n)| LossView { what: (*what).to_owned(), n: *n });
        let rejected =
            coverage.rejected.iter().map(|(code, n)| LossView { what: format!("spans refused ({code})"), n: *n });
        let overflow =
            coverage.overflow.iter().map(|(what, n)| LossView { what: format!("{what} beyond the cap"), n: *n });
        Self {
            spans: coverage.spans,
            traces: coverage.traces,
            adjustable: coverage.adjustable(),
            sampled: coverage.sampled,
            losses: fixed.chain(rejected).chain(overflow).filter(|l| l.n > 0).collect(),
        }
    }
}

impl TableView {
    fn new(table: &EvidenceTable, files: &Files) -> Self {
        let width = table.columns.len();
        let row = |cells: &[Text]| -> Vec<ViewText> {
            let mut cells: Vec<ViewText> = cells.iter().take(width).map(|c| ViewText::new(c, files)).collect();
            cells.resize(width, ViewText::default());
            cells
        };
        Self {
            title: table.title.clone(),
            note: ViewText::new(&table.note, files),
            columns: table.columns.clone(),
            rows: table.rows.iter().map(|r| row(&r.cells)).collect(),
        }
    }
}

impl WaterfallView {
    fn all(waterfalls: &[Waterfall]) -> Vec<Self> {
        let view = |(waterfall, column_seconds): (&Waterfall, f64)| Self {
            trace: TraceView::new(&waterfall.trace),
            column_seconds,
            text: waterfall::draw(waterfall, column_seconds),
            omitted: waterfall.omitted,
        };
        waterfalls.iter().zip(waterfall::scales(waterfalls)).map(view).collect()
    }
}

impl TraceView {
    fn new(trace: &TraceRef) -> Self {
        let link = |(name, url): &(String, String)| {
            ViewText(vec![super::text::ViewPiece::Link { text: name.clone(), url: url.clone() }])
        };
        Self {
            class: trace.class.clone(),
            trace_id: trace.trace_id.clone(),
            span_id: trace.span_id.clone(),
            start: trace.start.to_string(),
            duration_seconds: trace.duration_seconds,
            links: trace.links.iter().map(link).collect(),
        }
    }
}
