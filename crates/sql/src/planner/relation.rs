//! Relations on their way to operators: filters and projections are composed first and become a node only when an
//! operator needs their rows.
//!
//! So a chain of views, subqueries and aliases over a scan is one source, and one over an operator is one `Calc`. A
//! window table function stays *pending* as long as possible: an aggregate above it that groups by its window takes it
//! over and shares panes, and only if there is none its columns are really appended.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_plan::{Changelog, Expr, Operator, TimeAttribute, Window};

use super::extension::{WINDOW_COLUMNS, WINDOW_TYPE};
use super::table::BoundTable;

/// The window columns of a relation whose window function is pending.
pub const PENDING: [usize; 3] = [usize::MAX - 2, usize::MAX - 1, usize::MAX];

/// Parts of the expressions of one relation; beyond it a projection becomes a node of its own rather than being
/// repeated in the next one.
const PARTS_MAX: usize = 2_000;

/// What a column tells of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Time {
    /// Nothing.
    None,
    /// It is event time: the watermark follows it.
    Event,
    /// It is the clock of the epoch.
    Processing,
    /// It is the start of the row's window.
    WindowStart(Windowing),
    /// It is the end of the row's window.
    WindowEnd(Windowing),
    /// It is the last instant of the row's window, which is event time again.
    RowtimeOfWindow(Windowing),
}

/// Which windows a row lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windowing {
    /// The windows.
    pub window: Window,
    /// Whether they lie in processing time.
    pub processing: bool,
}

impl Windowing {
    /// The times of the three window columns.
    pub fn times(&self) -> [Time; 3] {
        [Time::WindowStart(self.clone()), Time::WindowEnd(self.clone()), Time::RowtimeOfWindow(self.clone())]
    }
}

/// A step of the plan before shared scans are merged.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Reads a table: rows that satisfy the predicate, and these expressions over the full row.
    Scan {
        /// The table's number in [`Graph::tables`].
        table: usize,
        /// The predicate.
        predicate: Option<Expr>,
        /// The output.
        output: Vec<Expr>,
    },
    /// Everything else.
    Operator(Operator),
}

/// A node before shared scans are merged.
#[derive(Debug, Clone)]
pub struct GraphNode {
    /// What it does.
    pub step: Step,
    /// The nodes that it reads.
    pub inputs: Vec<usize>,
    /// Names and types of its output.
    pub fields: Vec<FieldRef>,
    /// What its columns tell of time.
    pub times: Vec<Time>,
    /// Whether rows may be retracted.
    pub changelog: Changelog,
    /// Columns that identify a row.
    pub upsert_key: Option<Vec<usize>>,
    /// Whether it ends by itself.
    pub bounded: bool,
    /// Whether it has one row at any time.
    pub single_row: bool,
}

/// The steps of a pipeline; equal ones are there once.
#[derive(Debug, Default)]
pub struct Graph {
    /// The steps; inputs come first.
    pub nodes: Vec<GraphNode>,
    /// The tables that are read.
    pub tables: Vec<Arc<BoundTable>>,
    known: HashMap<String, usize>,
}

impl Graph {
    /// Adds a step, or finds the one that does the same.
    pub fn add(&mut self, node: GraphNode) -> usize {
        let key = format!("{:?} {:?}", node.inputs, node.step);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        self.nodes.push(node);
        self.known.insert(key, self.nodes.len() - 1);
        self.nodes.len() - 1
    }

    /// The number of a table.
    pub fn table(&mut self, table: &BoundTable) -> usize {
        let same = |known: &Arc<BoundTable>| known.definition.name == table.definition.name;
        if let Some(number) = self.tables.iter().position(same) {
            return number;
        }
        self.tables.push(Arc::new(table.clone()));
        self.tables.len() - 1
    }
}

/// What a relation's expressions are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// One row without columns: a SELECT without FROM.
    OneRow,
    /// The full row of a table.
    Table(usize),
    /// The output of a node.
    Node(usize),
}

/// A window function that no operator has taken over yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The windows.
    pub window: Window,
    /// The time over the base; none is processing time.
    pub time: Option<Expr>,
    /// Whose sessions they are, over the base; none of windows that do not depend on rows.
    pub partition: Vec<Expr>,
}

impl Pending {
    /// The windows and which time they lie in.
    pub fn windowing(&self) -> Windowing {
        Windowing { window: self.window.clone(), processing: self.time.is_none() }
    }
}

/// Rows of a base that satisfy a predicate, and expressions over them.
#[derive(Debug, Clone)]
pub struct Relation {
    /// What the expressions are over.
    pub base: Base,
    /// Which rows.
    pub predicate: Option<Expr>,
    /// The columns.
    pub columns: Vec<Expr>,
    /// Their names and types.
    pub fields: Vec<FieldRef>,
    /// The window function above, if it is pending; its columns are then [`PENDING`].
    pub pending: Option<Pending>,
    /// Whether it is the lookup side of a system-time join.
    pub lookup: bool,
}

impl Relation {
    /// All columns of a node.
    pub fn of_node(id: usize, fields: Vec<FieldRef>) -> Self {
        let columns = (0..fields.len()).map(Expr::Column).collect();
        Relation { base: Base::Node(id), predicate: None, columns, fields, pending: None, lookup: false }
    }

    /// Keeps the rows for which a predicate over the base is true.
    pub fn filter(&mut self, predicate: Expr) {
        self.predicate = Expr::and_all(self.predicate.take().into_iter().chain([predicate]));
    }

    /// Whether an expression reads the window of the pending function.
    pub fn reads_pending(expr: &Expr) -> bool {
        expr.columns().iter().any(|column| PENDING.contains(column))
    }

    /// Whether the expressions have grown so large that they should not be copied any further.
    pub fn is_large(&self) -> bool {
        let mut parts = 0;
        self.columns.iter().chain(&self.predicate).for_each(|expr| expr.walk(&mut |_| parts += 1));
        parts > PARTS_MAX
    }

    /// Whether it is the base itself.
    fn is_identity(&self, width: usize) -> bool {
        let in_place = |(index, expr): (usize, &Expr)| *expr == Expr::Column(index);
        self.predicate.is_none() && self.columns.len() == width && self.columns.iter().enumerate().all(in_place)
    }
}

impl Graph {
    /// What an expression over a relation's base tells of time.
    pub fn time_of(&self, relation: &Relation, expr: &Expr) -> Time {
        match (expr, relation.base) {
            (Expr::EpochClock, _) => Time::Processing,
            (Expr::Column(index), _) if PENDING.contains(index) => match &relation.pending {
                Some(pending) => pending.windowing().times()[index - PENDING[0]].clone(),
                None => Time::None,
            },
            (Expr::Column(index), Base::Node(id)) => self.nodes[id].times.get(*index).cloned().unwrap_or(Time::None),
            (Expr::Column(index), Base::Table(number)) => self.table_time(number, *index),
            _ => Time::None,
        }
    }

    fn table_time(&self, number: usize, column: usize) -> Time {
        let table = &self.tables[number];
        let computed = column.checked_sub(table.computed_start()).and_then(|index| table.computed.get(index));
        match (&table.watermark, computed) {
            (Some((time, _)), _) if *time == column => Time::Event,
            (_, Some((_, Expr::EpochClock))) => Time::Processing,
            _ => Time::None,
        }
    }

    /// The times of a relation's columns.
    pub fn times(&self, relation: &Relation) -> Vec<Time> {
        relation.columns.iter().map(|expr| self.time_of(relation, expr)).collect()
    }

    /// Whether a relation's rows may be retracted.
    pub fn changelog(&self, relation: &Relation) -> Changelog {
        match relation.base {
            Base::Node(id) => self.nodes[id].changelog,
            Base::Table(number) if self.tables[number].is_changelog() => Changelog::Retract,
            _ => Changelog::AppendOnly,
        }
    }

    /// Whether a relation ends by itself.
    pub fn bounded(&self, relation: &Relation) -> bool {
        match relation.base {
            Base::Node(id) => self.nodes[id].bounded,
            Base::Table(number) => self.tables[number].is_bounded(),
            Base::OneRow => true,
        }
    }

    /// Whether a relation has exactly one row at any time.
    pub fn single_row(&self, relation: &Relation) -> bool {
        relation.predicate.is_none()
            && match relation.base {
                Base::Node(id) => self.nodes[id].single_row,
                Base::Table(_) => false,
                Base::OneRow => true,
            }
    }

    /// Positions of a relation's columns that identify its rows.
    fn upsert_key(&self, relation: &Relation) -> Option<Vec<usize>> {
        let key = match relation.base {
            Base::Node(id) => self.nodes[id].upsert_key.clone()?,
            Base::Table(number) if self.tables[number].is_changelog() => {
                Some(self.tables[number].primary_key()).filter(|key| !key.is_empty())?
            }
            _ => return None,
        };
        let position = |column: &usize| relation.columns.iter().position(|expr| *expr == Expr::Column(*column));
        key.iter().map(position).collect()
    }

    /// The node whose output is exactly the relation's columns.
    pub fn materialize(&mut self, relation: Relation) -> Result<usize> {
        let relation = if relation.pending.is_some() { self.assign_window(relation)? } else { relation };
        if let Base::Node(id) = relation.base
            && relation.is_identity(self.nodes[id].fields.len())
        {
            return Ok(id);
        }
        if relation.columns.iter().any(is_window_row) {
            return Err(Error::input("E022", "a window itself cannot be a column")
                .with_hint("take its parts: TUMBLE_START(…), TUMBLE_END(…)"));
        }
        let (times, upsert_key) = (self.times(&relation), self.upsert_key(&relation));
        let (changelog, bounded) = (self.changelog(&relation), self.bounded(&relation));
        let single_row = self.single_row(&relation);
        let (step, inputs) = match relation.base {
            Base::OneRow => return self.one_row(relation),
            Base::Table(table) => {
                (Step::Scan { table, predicate: relation.predicate, output: relation.columns }, vec![])
            }
            Base::Node(id) => {
                let calc = Operator::Calc { predicate: relation.predicate, projection: relation.columns };
                (Step::Operator(calc), vec![id])
            }
        };
        let fields = relation.fields;
        Ok(self.add(GraphNode { step, inputs, fields, times, changelog, upsert_key, bounded, single_row }))
    }

    fn one_row(&mut self, relation: Relation) -> Result<usize> {
        let times = self.times(&relation);
        let id = self.add(GraphNode {
            step: Step::Operator(Operator::Values { rows: vec![relation.columns] }),
            inputs: vec![],
            fields: relation.fields.clone(),
            times,
            changelog: Changelog::AppendOnly,
            upsert_key: None,
            bounded: true,
            single_row: true,
        });
        match relation.predicate {
            Some(predicate) => {
                let mut filtered = Relation::of_node(id, relation.fields);
                filtered.predicate = Some(predicate);
                self.materialize(filtered)
            }
            None => Ok(id),
        }
    }

    /// Appends the window columns of a pending function to its rows.
    pub fn assign_window(&mut self, mut relation: Relation) -> Result<Relation> {
        let Some(pending) = relation.pending.take() else { return Ok(relation) };
        if matches!(pending.window, Window::Session { .. }) {
            return Err(Error::unsupported(
                "E201",
                "SESSION without an aggregate over its windows is not in this build",
            )
            .with_hint("GROUP BY window_start, window_end above it"));
        }
        let mut below = Relation { columns: vec![], fields: vec![], predicate: None, ..relation.clone() };
        let (own, on_window) = split(relation.predicate.take(), Relation::reads_pending);
        below.predicate = own;
        let needed = self.needed_below(&relation, &on_window, &pending, &mut below);
        if self.changelog(&below) == Changelog::Retract {
            return Err(window_over_changelog());
        }
        let time = match pending.time.as_ref().map(|time| position_of(&below.columns, time)) {
            None => TimeAttribute::Processing,
            Some(Some(position)) => TimeAttribute::Event(position),
            Some(None) => return Err(Error::internal("a window's time is not among its input's columns")),
        };
        let width = below.columns.len();
        let id = self.add_window(below, &pending, time)?;
        let moved = |column: usize| match PENDING.iter().position(|pending| *pending == column) {
            Some(index) => width + index,
            None => needed.get(&column).copied().unwrap_or(column),
        };
        relation.columns.iter_mut().for_each(|expr| expr.map_columns(&moved));
        let mut predicate = on_window;
        predicate.iter_mut().for_each(|expr| expr.map_columns(&moved));
        Ok(Relation { base: Base::Node(id), predicate, ..relation })
    }

    /// Collects the base's columns that are read above a window function, and its time, as columns of `below`.
    fn needed_below(
        &self,
        relation: &Relation,
        on_window: &Option<Expr>,
        pending: &Pending,
        below: &mut Relation,
    ) -> HashMap<usize, usize> {
        let mut needed = HashMap::new();
        let read = relation.columns.iter().chain(on_window).flat_map(Expr::columns);
        for column in read.filter(|column| !PENDING.contains(column)) {
            needed.entry(column).or_insert_with(|| {
                below.columns.push(Expr::Column(column));
                below.fields.push(self.base_field(relation.base, column));
                below.columns.len() - 1
            });
        }
        if let Some(time) = &pending.time
            && position_of(&below.columns, time).is_none()
        {
            below.columns.push(time.clone());
            below.fields.push(Arc::new(Field::new("rowtime", WINDOW_TYPE, true)));
        }
        needed
    }

    fn base_field(&self, base: Base, column: usize) -> FieldRef {
        let field = match base {
            Base::Node(id) => self.nodes[id].fields.get(column).cloned(),
            Base::Table(number) => self.tables[number].full_row().get(column).cloned(),
            Base::OneRow => None,
        };
        field.unwrap_or_else(|| Arc::new(Field::new("column", DataType::Null, true)))
    }

    fn add_window(&mut self, below: Relation, pending: &Pending, time: TimeAttribute) -> Result<usize> {
        let mut fields = below.fields.clone();
        fields.extend(window_fields());
        let bounded = self.bounded(&below);
        let input = self.materialize(below)?;
        let mut times = self.nodes[input].times.clone();
        times.extend(pending.windowing().times());
        let window = pending.window.clone();
        Ok(self.add(GraphNode {
            step: Step::Operator(Operator::AssignWindow { window, time }),
            inputs: vec![input],
            fields,
            times,
            changelog: Changelog::AppendOnly,
            upsert_key: None,
            bounded,
            single_row: false,
        }))
    }
}

/// Names and types of the window columns.
pub fn window_fields() -> Vec<FieldRef> {
    WINDOW_COLUMNS.map(|name| Arc::new(Field::new(name, WINDOW_TYPE, false))).to_vec()
}

/// The error for a window over rows that may be retracted.
pub fn window_over_changelog() -> Error {
    Error::unsupported("E201", "a window over a stream of updates is not in this build")
        .with_detail("its input retracts rows (an aggregate or an outer join without a window, or a changelog table)")
        .with_hint("put the window first, and aggregate or join its result")
}

/// A time as the engine counts it: milliseconds.
pub fn in_milliseconds(time: Expr, data_type: &DataType) -> Expr {
    match data_type {
        DataType::Timestamp(TimeUnit::Millisecond, None) => time,
        // An instant becomes local time: windows are aligned to the clock on the wall (`finish` refuses zones but UTC).
        DataType::Timestamp(..) => Expr::Cast { expr: Box::new(time), to: WINDOW_TYPE, lenient: false },
        _ => time,
    }
}

fn is_window_row(expr: &Expr) -> bool {
    matches!(expr, Expr::Call { function, .. } if function == super::lower_expr::WINDOW_ROW)
}

fn position_of(columns: &[Expr], expr: &Expr) -> Option<usize> {
    columns.iter().position(|column| column == expr)
}

/// Divides a conjunction into the terms for which a test fails and those for which it holds.
pub fn split(predicate: Option<Expr>, test: impl Fn(&Expr) -> bool) -> (Option<Expr>, Option<Expr>) {
    let terms = predicate.map(conjuncts).unwrap_or_default();
    let (passed, failed): (Vec<Expr>, Vec<Expr>) = terms.into_iter().partition(|term| test(term));
    (Expr::and_all(failed), Expr::and_all(passed))
}

/// The terms of a conjunction.
pub fn conjuncts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Binary { op: fleuve_plan::BinaryOp::And, left, right } => {
            let mut terms = conjuncts(*left);
            terms.extend(conjuncts(*right));
            terms
        }
        other => vec![other],
    }
}
