//! `graph`: the topology as a drawing or as data.

use clap::{Args, ValueEnum};

use super::args::{FromArgs, Global, ReadArgs};
use super::io::{Io, Stop};
use super::{Exit, Surroundings, directory, input, stages};
use crate::config;

const AFTER: &str = "\
Examples:
  tracebook graph --from runbooks/topology.snapshot.json > topology.mmd
  tracebook graph --from traces.jsonl --format dot | dot -Tsvg > topology.svg
  tracebook graph --from traces.jsonl --format json | jq '.edges[] | select(.errors > 0)'";

/// Formats of a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GraphFormat {
    /// For Markdown on GitHub and elsewhere
    Mermaid,
    /// For Graphviz
    Dot,
    /// Nodes and edges with their statistics
    Json,
}

/// Print the topology as Mermaid, DOT or JSON
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct GraphArgs {
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// Format of the graph
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = GraphFormat::Mermaid, help_heading = "Report")]
    format: GraphFormat,
}

pub(super) fn run(args: &GraphArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let config = config::load(global.config.as_deref(), &around.dir)?;
    let request = input::Request::new(around, global, &config, &args.read);
    let snapshot = directory::read_or_own(&args.from, None, &request, io)?;
    io.data(&match args.format {
        GraphFormat::Mermaid => stages::mermaid(&snapshot),
        GraphFormat::Dot => stages::dot(&snapshot),
        GraphFormat::Json => stages::graph_json(&snapshot),
    })?;
    Ok(Exit::Nothing)
}
