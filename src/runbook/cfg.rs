//! The parts of the configuration that decide which runbooks exist and what people have to add to them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `runbooks:` — which ones are generated.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunbooksConfig {
    /// One per service with a latency objective.
    pub latency: bool,
    /// One per service with an error-rate objective.
    pub errors: bool,
    /// One per critical dependency.
    pub dependencies: bool,
    /// One per topic with a consumer.
    pub pipelines: bool,
    /// A dependency is critical when at least this share of entry traffic, or of all calls, reaches it (0..=1).
    pub critical_share: f64,
    /// An instrumented service with an errors page of its own gets a dependency page too when at least this share of all
    /// requests from outside touch it (0..=1).
    pub critical_service_share: f64,
    /// Ids, slugs, titles and triggers that people decided on.
    pub pinned: Vec<Pin>,
}

impl Default for RunbooksConfig {
    fn default() -> Self {
        Self {
            latency: true,
            errors: true,
            dependencies: true,
            pipelines: true,
            critical_share: 0.05,
            critical_service_share: 0.5,
            pinned: Vec::new(),
        }
    }
}

/// A decision about one generated runbook. It exists even if its kind is switched off above.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// `RB-001`; the ledger gives the next free one when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// What it is: `latency:api`, `errors:api`, `dependency:database:postgresql:orders`, `pipeline:messaging:kafka:orders`.
    pub key: String,
    /// File name part.
    #[serde(default)]
    pub slug: Option<String>,
    /// Title.
    #[serde(default)]
    pub title: Option<String>,
    /// Trigger as the team's alert says it.
    #[serde(default)]
    pub trigger: Option<String>,
    /// Owner of this page.
    #[serde(default)]
    pub owner: Option<String>,
    /// Text of the team.
    #[serde(default)]
    pub steps: TeamText,
}

/// Text of the team for one runbook: appended after the generated steps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeamText {
    /// Who is hit, in the team's words (Markdown).
    pub impact: Vec<String>,
    /// More diagnosis steps.
    pub diagnosis: Vec<StepConfig>,
    /// Remediation steps.
    pub remediation: Vec<StepConfig>,
    /// Verification steps.
    pub verification: Vec<StepConfig>,
    /// Overrides the general escalation path.
    pub escalation: Vec<EscalationConfig>,
}

/// A step as written by the team.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepConfig {
    /// What to do (Markdown).
    pub title: String,
    /// A command to paste.
    pub command: String,
    /// Fence language; `bash` when absent.
    pub language: String,
    /// What one should see (Markdown).
    pub expect: String,
    /// What it means if not (Markdown).
    pub otherwise: String,
    /// Whether it changes state.
    pub changes_state: bool,
    /// What must hold before (Markdown).
    pub precondition: String,
    /// How to undo it (Markdown).
    pub undo: String,
}

/// One step of an escalation path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EscalationConfig {
    /// `15m`; at once when absent.
    pub after: String,
    /// Whom.
    pub who: String,
    /// How to reach them.
    pub contact: String,
}

/// `scenarios:` — runbooks traces cannot decide on: region failover, replica lag, OOM, certificate expiry, …
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioConfig {
    /// Stable name; the ledger key is `scenario:<name>`.
    pub name: String,
    /// `RB-003`; the ledger gives the next free one when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// File name part; the name when absent.
    #[serde(default)]
    pub slug: Option<String>,
    /// Title.
    pub title: String,
    /// What fires (Markdown).
    pub trigger: String,
    /// `region-failover`, `replica-lag`, `oom`, `certificate-expiry`, `pipeline-stall` bring steps of their own; `custom` none.
    #[serde(default)]
    pub kind: Option<String>,
    /// `page` or `ticket`.
    #[serde(default)]
    pub severity: Option<String>,
    /// Owner of this page.
    #[serde(default)]
    pub owner: Option<String>,
    /// Nodes it concerns (services or node ids), most important first: decides impact, diagram and numbers.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// An `external` objective or Prometheus query that tells the state.
    #[serde(default)]
    pub objective: Option<String>,
    /// Text of the team.
    #[serde(default)]
    pub steps: TeamText,
}

/// `services:` — what traces do not hold about a service (key: `name` or `namespace/name`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// Owning team.
    pub owner: String,
    /// How to reach it.
    pub contact: String,
    /// `critical`, `high`, `medium`, `low`.
    pub criticality: String,
    /// Dashboard URL.
    pub dashboard: String,
    /// Facts for command packs, e.g. `k8s.namespace.name: aisoc`; win over what traces say.
    pub facts: BTreeMap<String, String>,
}

/// `links:` — where exemplars can be opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinksConfig {
    /// Base URL of Grafana.
    pub grafana: Option<String>,
    /// UID of its Tempo data source.
    pub tempo_datasource: Option<String>,
    /// Base URL of the Jaeger UI.
    pub jaeger: Option<String>,
}

/// Everything the runbook stage is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Name of the whole system, for titles. May be empty.
    pub project: String,
    /// Which ones.
    pub runbooks: RunbooksConfig,
    /// Declared ones.
    pub scenarios: Vec<ScenarioConfig>,
    /// Facts about services.
    pub services: BTreeMap<String, ServiceConfig>,
    /// General escalation path.
    pub escalation: Vec<EscalationConfig>,
    /// Link bases.
    pub links: LinksConfig,
    /// Command packs to use (`kubernetes`, `helm`, `docker-compose`, `systemd`, `aws`, `azure-container-apps`,
    /// `postgresql`, `redis`, `kafka`, …); chosen from observed attributes when empty.
    pub packs: Vec<String>,
}
