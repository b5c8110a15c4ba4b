//! `replay`: one journalled epoch, run again beside the pipeline's own outputs.

use std::io::Write;

use fleuve_base::Result;
use fleuve_flow::runtime::PipelineStore;
use fleuve_flow::runtime::replay::{ReplayedNode, replay};

use crate::args::ReplayArguments;
use crate::output::{self, Presenter, io_error};
use crate::workspace::Workspace;

/// `fleuve replay --pipeline P --epoch N`
pub fn run(arguments: &ReplayArguments, as_json: bool) -> Result<()> {
    let mut workspace = Workspace::open_existing(arguments.data.data.as_ref())?;
    let log = workspace.require_log()?.clone();
    let store = PipelineStore::open(workspace.env.clone(), workspace.directory(), &arguments.pipeline)?;
    let replayed = replay(&store, &log, workspace.connectors(), &workspace.env, arguments.epoch)?;
    let mut out = std::io::stdout().lock();
    let io = |e: std::io::Error| io_error(&e);
    if !as_json {
        writeln!(out, "epoch {} of {}", arguments.epoch, arguments.pipeline).map_err(io)?;
        writeln!(out, "clock {}", crate::live::clock_text(replayed.record.clock_ms)).map_err(io)?;
        for (node, range) in &replayed.record.ranges {
            writeln!(
                out,
                "read  node {node}, split {}, item {}: {} to {}",
                range.split, range.item, range.start, range.end
            )
            .map_err(io)?;
        }
    }
    let format = output::effective(arguments.format, as_json);
    for node in &replayed.nodes {
        print_node(node, format, as_json, &mut out)?;
    }
    drop(log);
    workspace.close()
}

fn print_node(node: &ReplayedNode, format: crate::args::Format, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let rows: usize = node.batches.iter().map(fleuve_flow::Batch::num_rows).sum();
    if !as_json {
        let (verb, name) = (if node.input { "in " } else { "out" }, node.operator.name());
        writeln!(out, "{verb}   {name} {} ({rows} rows)", node.table).map_err(|e| io_error(&e))?;
    }
    let changelog = node.batches.iter().any(|batch| batch.weights.is_some());
    let presenter = Presenter::new(&node.schema, changelog, node.upsert_key.clone());
    let mut printer = output::printer(format, presenter.schema())?;
    for rows in presenter.present(&node.batches)? {
        printer.print(&rows, out)?;
    }
    printer.finish(out)
}
