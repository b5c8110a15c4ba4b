//! From a plan to a dataflow: every worker builds the same one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use arrow::array::RecordBatch;
use fleuve_base::{Error, Result};
use fleuve_functions::compile::{Calc, ClockCell, CompileContext};
use fleuve_plan::{Expr, Node, NodeId, Operator, Pipeline, SampleMethod, TimeAttribute, WindowInput};
use timely::dataflow::Scope;
use timely::dataflow::operators::core::Concatenate;
use timely::dataflow::operators::{Probe, probe};
use timely::worker::Worker;

use super::coordinator::{Coordinator, SnapshotStart};
use super::driver::{BatchFunction, BatchStream, Epoch, Feed, feed, stateful, stateless};
use super::facts::{EpochFacts, FactsTable};
use super::logic::{NodeContext, OperatorLogic, SinkLogic};
use super::route::Route;
use super::scan::ScanPlan;
use super::snapshot::Message;
use super::stats::Stats;
use super::store::{Manifest, PipelineStore};
use super::worker::Input;
use crate::batch::Batch;
use crate::operator::{EpochOperator, Share};
use crate::operators;
use crate::sink::{Lanes, Sink};
use crate::source::Source;

/// Everything that the workers of a pipeline share.
pub struct WorkerPlan {
    /// The plan.
    pub pipeline: Arc<Pipeline>,
    /// The number of workers.
    pub workers: usize,
    /// Epochs.
    pub coordinator: Arc<Coordinator>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// The sources with their scans, by node.
    pub sources: BTreeMap<NodeId, (Arc<dyn Source>, ScanPlan)>,
    /// The sinks, by node.
    pub sinks: BTreeMap<NodeId, Arc<dyn Sink>>,
    /// The rows of lookup tables, by node.
    pub lookups: BTreeMap<NodeId, Vec<RecordBatch>>,
    /// Where snapshots are; `None` for a pipeline that is not durable.
    pub store: Option<PipelineStore>,
    /// The snapshot to start from.
    pub restore: Option<Manifest>,
    /// Epochs that are journalled but later than the snapshot.
    pub replay: Vec<Arc<EpochFacts>>,
    /// The first epoch to be applied.
    pub first_epoch: Epoch,
    /// Where snapshots are announced.
    pub announce: parking_lot::Mutex<Option<Sender<Message>>>,
}

impl WorkerPlan {
    /// Tells the snapshotter that a snapshot begins.
    pub fn send_snapshot(&self, start: SnapshotStart) {
        if let Some(sender) = &*self.announce.lock() {
            // The snapshotter ends early only after an error, which it has reported by then.
            let _ = sender.send(Message::Start(start));
        }
    }
}

/// Whether a node takes part in snapshots.
pub fn takes_part(operator: &Operator, context: &Pipeline) -> bool {
    let without_logic = matches!(
        operator,
        Operator::Source(_) | Operator::BadRecords { .. } | Operator::Blocks { .. } | Operator::Union
    );
    !is_stateless(operator, context) && !without_logic
}

fn is_stateless(operator: &Operator, _pipeline: &Pipeline) -> bool {
    match operator {
        Operator::Calc { predicate, projection } => !predicate.iter().chain(projection).any(reads_clock),
        Operator::AssignWindow { time, .. } => matches!(time, TimeAttribute::Event(_)),
        Operator::LookupJoin { .. } | Operator::Unnest { .. } => true,
        Operator::Sample { method, .. } => method.rows().is_none(),
        _ => false,
    }
}

/// Whether an expression's value depends on the epoch's clock.
pub fn reads_clock(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |e| found |= matches!(e, Expr::EpochClock));
    found
}

/// Whether a pipeline's results depend on the clock, so that epochs must go on without input.
pub fn needs_clock(pipeline: &Pipeline) -> bool {
    pipeline.settings.idle_timeout_ms > 0
        || pipeline.nodes.iter().any(|node| match &node.operator {
            Operator::AssignWindow { time, .. } => *time == TimeAttribute::Processing,
            Operator::WindowAggregate { input: WindowInput::Assign { time, .. }, .. } => {
                *time == TimeAttribute::Processing
            }
            Operator::WindowAggregate { input: WindowInput::Attached { processing, .. }, .. } => *processing,
            _ => false,
        })
}

/// What a worker's loop holds of its dataflow.
pub struct Dataflow {
    /// The sources.
    pub inputs: Vec<Input>,
    /// Feeds that carry no rows, only the progress of epochs.
    pub pacers: Vec<Feed>,
    /// Where epochs are made known to the operators.
    pub table: FactsTable,
    /// Passes an epoch when every sink has it.
    pub probe: probe::Handle<Epoch>,
}

/// Builds the pipeline's dataflow on one worker.
pub fn dataflow(plan: &Arc<WorkerPlan>, worker: &mut Worker, snapshots: Sender<Message>) -> Result<Dataflow> {
    let share = Share { worker: worker.index(), workers: worker.peers() };
    let clock = ClockCell::new(0);
    let context = CompileContext::new(clock.clone(), &plan.pipeline.settings.time_zone)?;
    let table = FactsTable::default();
    let probe = probe::Handle::new();
    worker.dataflow_named::<Epoch, _, _>(&plan.pipeline.name, |scope| {
        let builder = Builder {
            plan,
            share,
            context,
            clock,
            table,
            probe,
            snapshots,
            streams: vec![],
            inputs: vec![],
            pacers: vec![],
            scope,
        };
        builder.build()
    })
}

struct Builder<'a, 'scope> {
    plan: &'a Arc<WorkerPlan>,
    share: Share,
    context: CompileContext,
    clock: ClockCell,
    table: FactsTable,
    probe: probe::Handle<Epoch>,
    snapshots: Sender<Message>,
    streams: Vec<Option<BatchStream<'scope>>>,
    inputs: Vec<Input>,
    pacers: Vec<Feed>,
    scope: Scope<'scope, Epoch>,
}

impl<'scope> Builder<'_, 'scope> {
    fn build(mut self) -> Result<Dataflow> {
        for id in 0..self.plan.pipeline.nodes.len() {
            let stream = self.node(id)?;
            self.streams.push(stream);
        }
        Ok(Dataflow { inputs: self.inputs, pacers: self.pacers, table: self.table, probe: self.probe })
    }

    fn stream(&self, id: NodeId) -> Result<BatchStream<'scope>> {
        let stream = self.streams[id].clone();
        stream.ok_or_else(|| Error::internal(format!("node {id} has no output, but is read")))
    }

    fn node(&mut self, id: NodeId) -> Result<Option<BatchStream<'scope>>> {
        let node = &self.plan.pipeline.nodes[id];
        let name = format!("{id}:{}", node.operator.name());
        match &node.operator {
            Operator::Source(_) => self.source(id, &name).map(Some),
            Operator::BadRecords { source } => self.beside(*source, &name, |input| &mut input.bad).map(Some),
            Operator::Blocks { source } => self.beside(*source, &name, |input| &mut input.blocks).map(Some),
            Operator::Sink(_) => self.sink(id, node, &name).map(|()| None),
            Operator::Union => {
                let streams = node.inputs.iter().map(|i| self.stream(*i)).collect::<Result<Vec<_>>>()?;
                Ok(Some(self.scope.concatenate(streams)))
            }
            operator if is_stateless(operator, &self.plan.pipeline) => {
                let function = self.function(id, node)?;
                let input = self.stream(node.inputs[0])?;
                Ok(Some(stateless(input, &name, self.plan.coordinator.clone(), function)))
            }
            _ => self.operator(id, node, &name).map(Some),
        }
    }

    fn source(&mut self, id: NodeId, name: &str) -> Result<BatchStream<'scope>> {
        let (source, scan) = &self.plan.sources[&id];
        let (feed, stream) = feed(self.scope, name, self.plan.first_epoch);
        let (decoder, stage) = (source.decoder()?, scan.stage(&self.context)?);
        let source = source.clone();
        self.inputs.push(Input { node: id, source, decoder, stage, feed, bad: None, blocks: None, finished: false });
        Ok(stream)
    }

    /// What is told of a source beside its rows comes out here.
    fn beside(
        &mut self,
        source: NodeId,
        name: &str,
        place: impl FnOnce(&mut Input) -> &mut Option<Feed>,
    ) -> Result<BatchStream<'scope>> {
        let (feed, stream) = feed(self.scope, name, self.plan.first_epoch);
        let input = self.inputs.iter_mut().find(|input| input.node == source);
        *place(input.ok_or_else(|| Error::internal(format!("node {source} is no source")))?) = Some(feed);
        Ok(stream)
    }

    /// A stateless node's function.
    fn function(&self, id: NodeId, node: &Node) -> Result<BatchFunction> {
        let input = self.plan.pipeline.nodes[node.inputs[0]].schema.clone();
        let output = node.schema.clone();
        match &node.operator {
            Operator::Calc { predicate, projection } => {
                let calc = Calc::new(predicate.as_ref(), projection, &input, output, &self.context)?;
                Ok(Box::new(move |batch| apply_calc(&calc, &batch)))
            }
            Operator::AssignWindow { window, time } => {
                let assign = operators::assign_window::AssignWindow::new(window, *time, output)?;
                Ok(Box::new(move |batch| Ok(assign.apply(&batch, 0)?.0)))
            }
            Operator::LookupJoin { kind, input_keys, table_keys, filter, .. } => {
                let rows = &self.plan.lookups[&id];
                let table_schema = Arc::new(lookup_schema(&node.schema, input.fields().len()));
                let join = operators::lookup_join::LookupJoin::new(
                    input,
                    table_schema,
                    rows,
                    *kind,
                    input_keys,
                    table_keys,
                    filter.as_ref(),
                    output,
                    &self.context,
                )?;
                Ok(Box::new(move |batch| join.apply(&batch)))
            }
            Operator::Unnest { column, outer, ordinality } => {
                let unnest = operators::unnest::Unnest::new(&input, *column, *outer, *ordinality, output)?;
                Ok(Box::new(move |batch| unnest.apply(&batch)))
            }
            Operator::Sample { method: SampleMethod::Bernoulli { probability }, columns, seed, tells, .. } => {
                let chances = operators::sample::Chances::new(columns, *seed);
                let bernoulli = operators::sample::Bernoulli::new(chances, *probability);
                let bernoulli = if *tells { bernoulli.telling(output) } else { bernoulli };
                Ok(Box::new(move |batch| bernoulli.apply(&batch)))
            }
            other => Err(Error::internal(format!("{} has state", other.name()))),
        }
    }

    fn operator(&mut self, id: NodeId, node: &Node, name: &str) -> Result<BatchStream<'scope>> {
        let mut operator = self.epoch_operator(node)?;
        if let (Some(store), Some(manifest)) = (&self.plan.store, &self.plan.restore) {
            for tables in store.read_state(manifest, id)? {
                operator.restore(&tables, self.share)?;
            }
        }
        let routes = routes(&node.operator);
        let inputs = match node.inputs.is_empty() {
            // VALUES: an input on which nothing ever comes paces it.
            true => vec![(self.idle_stream(name), Route::Stay)],
            false => {
                let pair = |(input, route): (&NodeId, Route)| Ok((self.stream(*input)?, route));
                node.inputs.iter().zip(routes).map(pair).collect::<Result<Vec<_>>>()?
            }
        };
        let logic = Box::new(OperatorLogic { context: self.node_context(id), operator });
        let plan = self.plan;
        Ok(stateful(inputs, name, plan.first_epoch, self.table.clone(), plan.coordinator.clone(), logic))
    }

    /// A stream that carries nothing but the progress of epochs.
    fn idle_stream(&mut self, name: &str) -> BatchStream<'scope> {
        let (feed, stream) = feed(self.scope, name, self.plan.first_epoch);
        self.pacers.push(feed);
        stream
    }

    fn node_context(&self, node: NodeId) -> NodeContext {
        NodeContext {
            node,
            worker: self.share.worker,
            stats: self.plan.stats.clone(),
            snapshots: self.snapshots.clone(),
            durable: self.plan.store.is_some(),
            clock: self.clock.clone(),
            memory_limit: self.plan.pipeline.settings.memory_limit,
        }
    }

    fn epoch_operator(&self, node: &Node) -> Result<Box<dyn EpochOperator>> {
        let inputs: Vec<&Node> = node.inputs.iter().map(|id| &self.plan.pipeline.nodes[*id]).collect();
        operators::create(node, &inputs, &self.plan.pipeline.settings, self.share, &self.context)
    }

    fn sink(&mut self, id: NodeId, node: &Node, name: &str) -> Result<()> {
        let sink = &self.plan.sinks[&id];
        let (worker, workers) = (self.share.worker, self.share.workers);
        let lanes = sink.lanes();
        let (route, numbers): (Route, Vec<usize>) = match &lanes {
            Lanes::PerWorker => (Route::Stay, vec![worker]),
            Lanes::Fixed { count, by } => {
                let mine = (0..*count).filter(|lane| lane % workers == worker);
                (Route::Lanes { by: by.clone(), count: *count }, mine.collect())
            }
            Lanes::Chosen { count, chooser } => {
                let mine = (0..*count).filter(|lane| lane % workers == worker);
                (Route::Chosen(chooser.clone()), mine.collect())
            }
        };
        let open = numbers.into_iter().map(|lane| Ok((lane, sink.open(lane)?))).collect::<Result<Vec<_>>>()?;
        let Operator::Sink(spec) = &node.operator else {
            return Err(Error::internal("only sink nodes are opened as sinks"));
        };
        let logic = Box::new(SinkLogic {
            context: self.node_context(id),
            table: spec.table.clone(),
            schema: spec.schema.clone(),
            lanes,
            open,
        });
        let inputs = vec![(self.stream(node.inputs[0])?, route)];
        let (table, coordinator) = (self.table.clone(), self.plan.coordinator.clone());
        stateful(inputs, name, self.plan.first_epoch, table, coordinator, logic).probe_with(&self.probe);
        Ok(())
    }
}

/// Applies a calc to a batch with or without weights.
fn apply_calc(calc: &Calc, batch: &Batch) -> Result<Batch> {
    let (columns, weights) = calc.apply_with_weights(&batch.columns, batch.weights.as_ref())?;
    Ok(Batch { columns, weights })
}

/// The columns that a lookup join appends.
fn lookup_schema(output: &arrow::datatypes::Schema, input_columns: usize) -> arrow::datatypes::Schema {
    arrow::datatypes::Schema::new(output.fields().iter().skip(input_columns).cloned().collect::<Vec<_>>())
}

/// How each input of a stateful operator is dealt out.
fn routes(operator: &Operator) -> Vec<Route> {
    let keyed = |keys: &[usize]| if keys.is_empty() { Route::To(0) } else { Route::Keys(keys.to_vec()) };
    match operator {
        Operator::Calc { .. } | Operator::AssignWindow { .. } => vec![Route::Stay],
        Operator::Aggregate { keys, .. } | Operator::WindowAggregate { keys, .. } => vec![keyed(keys)],
        Operator::Normalize { keys, .. } => vec![keyed(keys)],
        Operator::Join { left_keys, right_keys, .. } | Operator::WindowJoin { left_keys, right_keys, .. } => {
            vec![keyed(left_keys), keyed(right_keys)]
        }
        // Rows, the blocks of one table or of two, bounds of values.
        Operator::Online(online) => vec![Route::To(0); 3 + online.bounds.len()],
        _ => vec![Route::To(0); 2],
    }
}
