//! Operators in Timely: the three shapes that every node takes.
//!
//! * [`feed`]: a source's decoded batches, handed in by the worker's loop.
//! * [`stateless`]: a function on batches, applied as they pass.
//! * [`stateful`]: an [`EpochLogic`], fed with whole epochs when the frontier has passed them.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use fleuve_base::Result;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::{DistributorPact, Pipeline};
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::{Scope, Stream};
use timely::scheduling::Activator;

use super::coordinator::Coordinator;
use super::facts::{EpochFacts, FactsTable};
use super::route::{Route, Router};
use crate::batch::Batch;

/// Logical time: the epoch.
pub type Epoch = u64;

/// A stream of batches.
pub type BatchStream<'scope> = Stream<'scope, Epoch, Batch>;

/// Where a worker's loop puts decoded batches, and how far it has released epochs.
#[derive(Clone)]
pub struct Feed {
    shared: Rc<RefCell<FeedState>>,
    activator: Rc<Activator>,
}

struct FeedState {
    queue: VecDeque<(Epoch, Batch)>,
    released: Option<Epoch>,
}

impl Feed {
    /// Hands in a batch of an epoch that is not released yet.
    pub fn push(&self, epoch: Epoch, batch: Batch) {
        if batch.num_rows() > 0 {
            self.shared.borrow_mut().queue.push_back((epoch, batch));
            self.activator.activate();
        }
    }

    /// No more batches before this epoch; `None`: none at all.
    pub fn release(&self, before: Option<Epoch>) {
        self.shared.borrow_mut().released = before;
        self.activator.activate();
    }
}

/// A source node: emits what is put into the returned [`Feed`].
pub fn feed<'scope>(scope: Scope<'scope, Epoch>, name: &str, first: Epoch) -> (Feed, BatchStream<'scope>) {
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    let (output, stream) = builder.new_output::<Batch>();
    let mut output: OutputBuilder<Epoch, NoopBuilder<Batch>> = OutputBuilder::from(output);
    let activator = Rc::new(scope.activator_for(builder.operator_info().address));
    let shared = Rc::new(RefCell::new(FeedState { queue: VecDeque::new(), released: Some(first) }));
    let feed = Feed { shared: shared.clone(), activator };
    builder.build(move |mut capabilities| {
        let mut capability = capabilities.pop();
        move |_frontiers| {
            let mut state = shared.borrow_mut();
            let mut handle = output.activate();
            if let Some(capability) = &capability {
                for (epoch, mut batch) in state.queue.drain(..) {
                    let at = capability.delayed(&epoch);
                    handle.session_with_builder(&at).give_container(&mut batch);
                }
            }
            match (state.released, &mut capability) {
                (Some(epoch), Some(capability)) if epoch > *capability.time() => capability.downgrade(&epoch),
                (None, capability) => *capability = None,
                _ => {}
            }
        }
    });
    (feed, stream)
}

/// A function on batches, given the epoch.
pub type BatchFunction = Box<dyn FnMut(Batch) -> Result<Batch>>;

/// A node without state.
pub fn stateless<'scope>(
    input: BatchStream<'scope>,
    name: &str,
    coordinator: Arc<Coordinator>,
    mut function: BatchFunction,
) -> BatchStream<'scope> {
    let mut builder = OperatorBuilder::new(name.to_owned(), input.scope());
    let mut input = builder.new_input(input, Pipeline);
    let (output, stream) = builder.new_output::<Batch>();
    let mut output: OutputBuilder<Epoch, NoopBuilder<Batch>> = OutputBuilder::from(output);
    builder.build(move |_capabilities| {
        move |_frontiers| {
            let mut handle = output.activate();
            input.for_each(|capability, data| match function(std::mem::take(data)) {
                Ok(mut batch) if batch.num_rows() > 0 => {
                    handle.session_with_builder(&capability).give_container(&mut batch);
                }
                Ok(_) => {}
                Err(error) => coordinator.fail(error),
            });
        }
    });
    stream
}

/// What runs when an epoch is complete.
pub trait EpochLogic {
    /// Applies an epoch; `inputs[i]` is what arrived on input `i`.
    fn apply(&mut self, facts: &EpochFacts, inputs: &mut [Vec<Batch>], output: &mut Vec<Batch>) -> Result<()>;
}

/// A node with state: stashes what arrives, and applies whole epochs in order.
pub fn stateful<'scope>(
    inputs: Vec<(BatchStream<'scope>, Route)>,
    name: &str,
    first: Epoch,
    table: FactsTable,
    coordinator: Arc<Coordinator>,
    logic: Box<dyn EpochLogic>,
) -> BatchStream<'scope> {
    let scope = inputs[0].0.scope();
    let worker = scope.index();
    let mut builder = OperatorBuilder::new(name.to_owned(), scope);
    let connect = |(stream, route): (BatchStream<'scope>, Route)| {
        builder.new_input(stream, DistributorPact(move |peers| Router::new(route, worker, peers)))
    };
    let mut handles: Vec<_> = inputs.into_iter().map(connect).collect();
    let (output, stream) = builder.new_output::<Batch>();
    let mut output: OutputBuilder<Epoch, NoopBuilder<Batch>> = OutputBuilder::from(output);
    builder.build(move |mut capabilities| {
        let mut capability = capabilities.pop();
        let mut epochs = Epochs { next: first, stash: BTreeMap::new(), inputs: handles.len(), table, logic };
        move |frontiers| {
            for (index, handle) in handles.iter_mut().enumerate() {
                handle.for_each(|at, data| {
                    let epoch = at.least().copied().unwrap_or_default();
                    epochs.stash(epoch, index, std::mem::take(data));
                });
            }
            let frontier = frontiers.iter().filter_map(|f| f.frontier().first().copied()).min();
            let mut session = output.activate();
            if let Some(held) = &mut capability {
                if first > *held.time() {
                    held.downgrade(&first);
                }
                let result = epochs.run(frontier, |epoch, batches| {
                    let at = held.delayed(&epoch);
                    let mut session = session.session_with_builder(&at);
                    batches.drain(..).filter(|b| b.num_rows() > 0).for_each(|mut b| session.give_container(&mut b));
                });
                match result {
                    Ok(()) if epochs.next > *held.time() => held.downgrade(&epochs.next),
                    Ok(()) => {}
                    Err(error) => coordinator.fail(error),
                }
            }
            if frontier.is_none() || coordinator.failed() {
                capability = None;
            }
        }
    });
    stream
}

/// The epochs that wait in front of a stateful node.
struct Epochs {
    next: Epoch,
    stash: BTreeMap<Epoch, Vec<Vec<Batch>>>,
    inputs: usize,
    table: FactsTable,
    logic: Box<dyn EpochLogic>,
}

impl Epochs {
    fn stash(&mut self, epoch: Epoch, input: usize, batch: Batch) {
        let inputs = self.inputs;
        self.stash.entry(epoch).or_insert_with(|| vec![vec![]; inputs])[input].push(batch);
    }

    /// Applies every epoch that the frontier has passed.
    fn run(&mut self, frontier: Option<Epoch>, mut emit: impl FnMut(Epoch, &mut Vec<Batch>)) -> Result<()> {
        let mut output = vec![];
        while frontier.is_none_or(|frontier| self.next < frontier) {
            let Some(facts) = self.table.get(self.next) else { break };
            let mut inputs = self.stash.remove(&self.next).unwrap_or_else(|| vec![vec![]; self.inputs]);
            self.logic.apply(&facts, &mut inputs, &mut output)?;
            emit(self.next, &mut output);
            self.next += 1;
        }
        Ok(())
    }
}
