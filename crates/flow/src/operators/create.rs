//! From a plan's node to its operator.

use fleuve_base::{Error, Result};
use fleuve_functions::compile::CompileContext;
use fleuve_plan::{Changelog, Node, Operator, Settings};

use crate::operator::{EpochOperator, Share};
use crate::operators::aggregate::Aggregate;
use crate::operators::calc::ClockedCalc;
use crate::operators::clocked_window::ClockedWindow;
use crate::operators::join::{Join, JoinInput, JoinSpec};
use crate::operators::limit::Limit;
use crate::operators::normalize::Normalize;
use crate::operators::online::Online;
use crate::operators::sample::{Chances, Reservoir};
use crate::operators::sort::Sort;
use crate::operators::values::Values;
use crate::operators::window_aggregate::WindowAggregate;
use crate::operators::window_join::{WindowJoin, WindowJoinSpec};

/// Creates the operator of a stateful node. `inputs` are the nodes that it reads, in order.
///
/// # Errors
/// If the node has no state (or is a source or sink), or its expressions do not fit its inputs.
pub fn create(
    node: &Node,
    inputs: &[&Node],
    settings: &Settings,
    share: Share,
    context: &CompileContext,
) -> Result<Box<dyn EpochOperator>> {
    let output = node.schema.clone();
    Ok(match &node.operator {
        Operator::Values { rows } => Box::new(Values::new(rows, output, share, context)?),
        Operator::Normalize { keys, order } => Box::new(Normalize::new(&inputs[0].schema, keys, order, output)?),
        Operator::Calc { predicate, projection } => {
            Box::new(ClockedCalc::new(predicate.as_ref(), projection, &inputs[0].schema, output, context)?)
        }
        Operator::AssignWindow { window, time } => Box::new(ClockedWindow::new(window, *time, output)?),
        Operator::Aggregate { keys, aggregates } => {
            let (schema, changelog) = (&inputs[0].schema, inputs[0].changelog);
            Box::new(Aggregate::new(schema, changelog, keys, aggregates, output, settings, share)?)
        }
        Operator::Online(spec) => Box::new(Online::new(spec, &inputs[0].schema, output, share)?),
        Operator::WindowAggregate { input, keys, aggregates } => {
            let (schema, changelog) = (&inputs[0].schema, inputs[0].changelog);
            Box::new(WindowAggregate::new(schema, changelog, input, keys, aggregates, output)?)
        }
        Operator::Join { .. } => Box::new(Join::new(join_spec(node, inputs)?, context)?),
        Operator::WindowJoin { .. } => Box::new(WindowJoin::new(window_join_spec(node, inputs)?, context)?),
        Operator::Sample { method, columns, seed, at_end, tells } => {
            let chances = Chances::new(columns, *seed);
            let sample = Reservoir::new(*method, chances, *at_end, inputs[0].schema.clone(), share)?;
            Box::new(if *tells { sample.telling(output) } else { sample })
        }
        Operator::Limit { skip, fetch } => Box::new(Limit::new(*skip, *fetch, output, share)),
        Operator::Sort { keys, skip, fetch } => Box::new(Sort::new(keys, *skip, *fetch, output, share)),
        other => return Err(Error::internal(format!("{other:?} is no stateful operator"))),
    })
}

fn join_input(node: &Node, keys: &[usize]) -> JoinInput {
    JoinInput { schema: node.schema.clone(), keys: keys.to_vec(), changelog: node.changelog == Changelog::Retract }
}

fn join_spec(node: &Node, inputs: &[&Node]) -> Result<JoinSpec> {
    let Operator::Join { kind, left_keys, right_keys, filter, interval } = &node.operator else {
        return Err(Error::internal("no join"));
    };
    Ok(JoinSpec {
        kind: *kind,
        left: join_input(inputs[0], left_keys),
        right: join_input(inputs[1], right_keys),
        filter: filter.clone(),
        interval: *interval,
        output: node.schema.clone(),
    })
}

fn window_join_spec(node: &Node, inputs: &[&Node]) -> Result<WindowJoinSpec> {
    let Operator::WindowJoin { kind, left_keys, right_keys, left_window, right_window, filter } = &node.operator else {
        return Err(Error::internal("no window join"));
    };
    Ok(WindowJoinSpec {
        kind: *kind,
        left: join_input(inputs[0], left_keys),
        right: join_input(inputs[1], right_keys),
        left_window: *left_window,
        right_window: *right_window,
        filter: filter.clone(),
        output: node.schema.clone(),
    })
}
