//! Joins: by window, within an interval of time, by lookup, or of everything that ever came.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion_common::NullEquality;
use datafusion_expr::logical_plan::Join;
use datafusion_expr::{Expr as Logical, JoinType, LogicalPlan};
use fleuve_base::{Error, Result};
use fleuve_plan::{BinaryOp, Changelog, Expr, JoinKind, Literal, Operator, Value};

use super::errors::at_opt;
use super::interval::{TimeSide, bounds};
use super::lower::{Lowering, fields_of, logical_field};
use super::lower_expr::Scope;
use super::relation::{Base, GraphNode, Relation, Step, Time, conjuncts};
use super::scan::source_spec;
use super::table::BoundTable;
use super::typing::place_of_exprs;

/// One input of a join: its columns, and after them the keys that are expressions.
struct Side {
    relation: Relation,
    /// Columns that the join's output shows.
    own: usize,
    keys: Vec<usize>,
}

impl Side {
    fn new(relation: Relation) -> Self {
        Side { own: relation.columns.len(), relation, keys: vec![] }
    }

    fn add_key(&mut self, expr: Expr, field: FieldRef) {
        let known = self.relation.columns.iter().position(|column| *column == expr);
        let position = known.unwrap_or_else(|| {
            self.relation.columns.push(expr);
            self.relation.fields.push(field);
            self.relation.columns.len() - 1
        });
        self.keys.push(position);
    }

    fn width(&self) -> usize {
        self.relation.columns.len()
    }
}

impl Lowering {
    /// Lowers a join.
    pub(super) fn join(&mut self, join: &Join) -> Result<Relation> {
        let kind = kind(join)?;
        let left = self.side(&join.left)?;
        let right = self.side(&join.right)?;
        let (mut left, mut right) = (Side::new(left), Side::new(right));
        for (a, b) in &join.on {
            let (left_key, right_key) = (self.key(&left, a, &join.left)?, self.key(&right, b, &join.right)?);
            left.add_key(left_key.0, left_key.1);
            right.add_key(right_key.0, right_key.1);
        }
        if join.null_aware {
            self.check_not_in(join, &left, &right)?;
        }
        let filter = self.join_filter(join, &left, &right)?;
        if right.relation.lookup {
            return self.lookup_join(join, kind, left, right, filter);
        }
        match self.windows_of(&left, &right) {
            Some(windows) => self.window_join(join, kind, left, right, filter, windows),
            None => self.regular_join(join, kind, left, right, filter),
        }
    }

    fn side(&mut self, plan: &LogicalPlan) -> Result<Relation> {
        let relation = self.relation(plan)?;
        if relation.pending.is_some() { self.graph.assign_window(relation) } else { Ok(relation) }
    }

    fn key(&self, side: &Side, expr: &Logical, plan: &LogicalPlan) -> Result<(Expr, FieldRef)> {
        let lowered = self.exprs(&side.relation, [expr], plan.schema())?.remove(0);
        Ok((lowered, logical_field(expr, plan.schema())?))
    }

    /// The condition beside the keys, over the concatenated inputs.
    fn join_filter(&self, join: &Join, left: &Side, right: &Side) -> Result<Option<Expr>> {
        let Some(filter) = &join.filter else { return Ok(None) };
        let schema = join.left.schema().join(join.right.schema()).map_err(super::errors::from_datafusion)?;
        let columns: Vec<Expr> =
            (0..left.own).chain(left.width()..left.width() + right.own).map(Expr::Column).collect();
        let filter = Scope { schema: &schema, columns: Some(&columns) }.lower(filter)?;
        let is_true = matches!(&filter, Expr::Literal(Literal { value: Value::Bool(true), .. }));
        Ok((!is_true).then_some(filter))
    }

    /// `NOT IN` means an anti join only where no NULL can occur.
    fn check_not_in(&self, join: &Join, left: &Side, right: &Side) -> Result<()> {
        let excluded = |side: &Side| {
            side.keys.iter().all(|key| {
                !side.relation.fields[*key].is_nullable() || excludes_null(&side.relation, &side.relation.columns[*key])
            })
        };
        if excluded(left) && excluded(right) {
            return Ok(());
        }
        let error = Error::unsupported("E201", "NOT IN over a column that may be NULL is not in this build")
            .with_detail("one NULL among the values would make the answer empty")
            .with_hint("write NOT EXISTS (SELECT 1 FROM … WHERE …), or add IS NOT NULL for both columns");
        Err(at_opt(error, place_of_exprs(join.on.iter().map(|(left, _)| left))))
    }

    /// Positions among the keys of (start, end), if the join is one of equal windows.
    fn windows_of(&self, left: &Side, right: &Side) -> Option<(usize, usize)> {
        let (left_times, right_times) = (self.graph.times(&left.relation), self.graph.times(&right.relation));
        let pairs: Vec<(&Time, &Time)> =
            left.keys.iter().zip(&right.keys).map(|(l, r)| (&left_times[*l], &right_times[*r])).collect();
        let start =
            pairs.iter().position(|pair| matches!(pair, (Time::WindowStart(a), Time::WindowStart(b)) if a == b))?;
        let end = pairs.iter().position(|pair| matches!(pair, (Time::WindowEnd(a), Time::WindowEnd(b)) if a == b))?;
        Some((start, end))
    }

    fn window_join(
        &mut self,
        join: &Join,
        kind: JoinKind,
        left: Side,
        right: Side,
        filter: Option<Expr>,
        (start, end): (usize, usize),
    ) -> Result<Relation> {
        for side in [&left, &right] {
            if self.graph.changelog(&side.relation) == Changelog::Retract {
                return Err(super::relation::window_over_changelog());
            }
        }
        let others = |keys: &[usize]| {
            keys.iter().enumerate().filter(|(index, _)| *index != start && *index != end).map(|(_, key)| *key).collect()
        };
        let operator = Operator::WindowJoin {
            kind,
            left_keys: others(&left.keys),
            right_keys: others(&right.keys),
            left_window: (left.keys[start], left.keys[end]),
            right_window: (right.keys[start], right.keys[end]),
            filter,
        };
        self.add_join(join, left, right, Joined { kind, operator, changelog: Changelog::AppendOnly, keeps_time: true })
    }

    fn regular_join(
        &mut self,
        join: &Join,
        kind: JoinKind,
        left: Side,
        right: Side,
        filter: Option<Expr>,
    ) -> Result<Relation> {
        let appends = |side: &Side| self.graph.changelog(&side.relation) == Changelog::AppendOnly;
        let append_only = appends(&left) && appends(&right);
        let interval = self.interval_of(&left, &right, filter.as_ref());
        if interval.is_some() && !append_only {
            return Err(Error::unsupported("E201", "an interval join over a stream of updates is not in this build")
                .with_detail(
                    "one of its inputs retracts rows, and bounds on the time would let their state go too early",
                )
                .with_hint("join first and aggregate after it, or leave the bounds on the time out"));
        }
        if left.keys.is_empty() && interval.is_none() {
            self.check_keyless(join, &left, &right)?;
        }
        let stable = matches!(kind, JoinKind::Inner | JoinKind::Semi) || interval.is_some();
        let changelog = if append_only && stable { Changelog::AppendOnly } else { Changelog::Retract };
        let operator =
            Operator::Join { kind, left_keys: left.keys.clone(), right_keys: right.keys.clone(), filter, interval };
        self.add_join(join, left, right, Joined { kind, operator, changelog, keeps_time: false })
    }

    fn interval_of(&self, left: &Side, right: &Side, filter: Option<&Expr>) -> Option<fleuve_plan::Interval> {
        let mut terms = filter.cloned().map(conjuncts).unwrap_or_default();
        let keys = left.keys.iter().zip(&right.keys);
        terms.extend(keys.map(|(l, r)| Expr::binary(BinaryOp::Eq, Expr::Column(*l), Expr::Column(left.width() + r))));
        let sides = TimeSide { left: self.graph.times(&left.relation), right: self.graph.times(&right.relation) };
        bounds(&terms, &sides)
    }

    fn check_keyless(&self, join: &Join, left: &Side, right: &Side) -> Result<()> {
        let small = |side: &Side| self.graph.single_row(&side.relation) || self.graph.bounded(&side.relation);
        if small(right) || small(left) && join.join_type == JoinType::Inner {
            return Ok(());
        }
        let error = Error::unsupported("E201", "a join of two streams without an equality is not in this build")
            .with_detail("every row would have to be kept and compared with every other")
            .with_hint("add a condition a.key = b.key, or bounds on both times: a.ts BETWEEN b.ts - INTERVAL '1' MINUTE AND b.ts");
        Err(at_opt(error, place_of_exprs(&join.filter)))
    }

    fn add_join(&mut self, join: &Join, left: Side, right: Side, joined: Joined) -> Result<Relation> {
        let Joined { kind, operator, changelog, keeps_time } = joined;
        let shows_right = matches!(kind, JoinKind::Inner | JoinKind::Left);
        let (fields, times) = self.joined_columns(kind, &left, &right, keeps_time);
        let bounded = self.graph.bounded(&left.relation) && self.graph.bounded(&right.relation);
        let single_row = left.keys.is_empty()
            && self.graph.single_row(&left.relation)
            && self.graph.single_row(&right.relation)
            && !matches!(operator, Operator::Join { filter: Some(_), .. });
        let left_width = left.width();
        let shown = (0..left.own).chain((left_width..left_width + right.own).filter(|_| shows_right));
        let columns: Vec<Expr> = shown.map(Expr::Column).collect();
        let (left_keys, right_keys) = (left.keys, right.keys);
        let inputs = vec![self.graph.materialize(left.relation)?, self.graph.materialize(right.relation)?];
        let upsert_key = self.join_key(&inputs, kind, left_width, &left_keys, &right_keys);
        let step = Step::Operator(operator);
        let id = self.graph.add(GraphNode { step, inputs, fields, times, changelog, upsert_key, bounded, single_row });
        let fields = fields_of(&join.schema);
        Ok(Relation { base: Base::Node(id), predicate: None, columns, fields, pending: None, lookup: false })
    }

    /// The concatenated columns of a join's inputs as the operator yields them.
    fn joined_columns(
        &self,
        kind: JoinKind,
        left: &Side,
        right: &Side,
        keeps_time: bool,
    ) -> (Vec<FieldRef>, Vec<Time>) {
        let mut fields = left.relation.fields.clone();
        let mut times = self.graph.times(&left.relation);
        if matches!(kind, JoinKind::Inner | JoinKind::Left) {
            let optional = |field: &FieldRef| match kind {
                JoinKind::Left => Arc::new(field.as_ref().clone().with_nullable(true)),
                _ => Arc::clone(field),
            };
            fields.extend(right.relation.fields.iter().map(optional));
            let unknown = |time: Time| if kind == JoinKind::Left { Time::None } else { time };
            times.extend(self.graph.times(&right.relation).into_iter().map(unknown));
        }
        // A row that waited for its partner may lie behind the watermark.
        times.iter_mut().filter(|_| !keeps_time).for_each(|time| *time = Time::None);
        (fields, times)
    }

    /// What identifies a joined row: the left row alone if at most one right row matches it, otherwise both.
    fn join_key(
        &self,
        inputs: &[usize],
        kind: JoinKind,
        left_width: usize,
        left_keys: &[usize],
        right_keys: &[usize],
    ) -> Option<Vec<usize>> {
        let left = self.graph.nodes[inputs[0]].upsert_key.clone();
        if matches!(kind, JoinKind::Semi | JoinKind::Anti) {
            return left;
        }
        let right = self.graph.nodes[inputs[1]].upsert_key.clone();
        let covers = |keys: &[usize], unique: &Option<Vec<usize>>| {
            unique.as_ref().is_some_and(|unique| unique.iter().all(|column| keys.contains(column)))
        };
        if covers(right_keys, &right) || self.graph.nodes[inputs[1]].single_row {
            return left;
        }
        let moved = |key: Vec<usize>| key.into_iter().map(|column| column + left_width).collect::<Vec<_>>();
        let right = right.map(moved);
        if kind == JoinKind::Inner && covers(left_keys, &left) {
            return right;
        }
        let (mut key, right) = left.zip(right)?;
        key.extend(right);
        Some(key)
    }

    fn lookup_join(
        &mut self,
        join: &Join,
        kind: JoinKind,
        mut left: Side,
        right: Side,
        filter: Option<Expr>,
    ) -> Result<Relation> {
        let table = self.lookup_table(join, kind, &right)?;
        let own = left.own;
        // Keys are looked up as expressions: the columns that were appended for them are not needed.
        let keys: Vec<Expr> = left.keys.iter().map(|key| left.relation.columns[*key].clone()).collect();
        let width = left.width();
        let filter = filter.map(|mut filter| {
            filter.map_columns(&|column| if column >= width { column - width + own } else { column });
            filter
        });
        left.relation.columns.truncate(own);
        left.relation.fields.truncate(own);
        let keys: Option<Vec<Expr>> = keys.into_iter().map(|key| over_output(&left.relation, key)).collect();
        let input_keys =
            keys.ok_or_else(|| Error::internal("the key of a lookup is not among the columns of its input"))?;
        let optional = |field: &FieldRef| Arc::new(field.as_ref().clone().with_nullable(true));
        let mut fields = left.relation.fields.clone();
        fields.extend(right.relation.fields.iter().map(optional));
        let mut times = self.graph.times(&left.relation);
        times.resize(fields.len(), Time::None);
        let (changelog, bounded) = (self.graph.changelog(&left.relation), self.graph.bounded(&left.relation));
        let columns: Vec<Expr> = (0..own + right.own).map(Expr::Column).collect();
        let table = Box::new(source_spec(&table, right.relation.predicate, right.relation.columns, false));
        let operator = Operator::LookupJoin { table, kind, input_keys, table_keys: right.keys, filter };
        let inputs = vec![self.graph.materialize(left.relation)?];
        let step = Step::Operator(operator);
        let id = self.graph.add(GraphNode {
            step,
            inputs,
            fields,
            times,
            changelog,
            upsert_key: None,
            bounded,
            single_row: false,
        });
        let fields = fields_of(&join.schema);
        Ok(Relation { base: Base::Node(id), predicate: None, columns, fields, pending: None, lookup: false })
    }

    /// The table that a lookup join reads, if it can be read that way.
    fn lookup_table(&self, join: &Join, kind: JoinKind, right: &Side) -> Result<Arc<BoundTable>> {
        let fail = |text: &str, hint: &str| {
            let error = Error::unsupported("E201", format!("{text} is not in this build")).with_hint(hint.to_owned());
            Err(at_opt(error, place_of_exprs(join.on.iter().map(|(_, right)| right))))
        };
        if right.keys.is_empty() {
            let error = Error::input("E022", "a lookup join needs an equality with a column of the table")
                .with_hint("ON stream.key = table.key");
            return Err(at_opt(error, place_of_exprs(&join.filter)));
        }
        if self.graph.changelog(&right.relation) == Changelog::Retract {
            return fail(
                "FOR SYSTEM_TIME AS OF over rows that are updated or deleted",
                "leave out FOR SYSTEM_TIME AS OF: the join then follows every change of both sides",
            );
        }
        let Base::Table(number) = right.relation.base else {
            return fail(
                "FOR SYSTEM_TIME AS OF over anything but a table",
                "look the table itself up, and aggregate after the join",
            );
        };
        if !matches!(kind, JoinKind::Inner | JoinKind::Left) {
            return fail("a semi or anti join with FOR SYSTEM_TIME AS OF", "write JOIN or LEFT JOIN");
        }
        let table = &self.graph.tables[number];
        if !table.is_bounded() {
            let text = format!("a lookup in the unbounded table `{}`", table.definition.name);
            return fail(&text, "a lookup table is a file or directory: 'connector' = 'filesystem'");
        }
        if table.definition.options.get("bad-records") == Some("dead-letter") {
            let text = format!("a dead-letter topic for the lookup table `{}`", table.definition.name);
            return fail(&text, "'bad-records' = 'skip' counts its bad records, 'fail' names the first");
        }
        Ok(Arc::clone(table))
    }
}

/// What a join becomes.
struct Joined {
    kind: JoinKind,
    operator: Operator,
    changelog: Changelog,
    keeps_time: bool,
}

/// An expression over a relation's base as one over the relation's own columns, if they suffice.
fn over_output(relation: &Relation, mut expr: Expr) -> Option<Expr> {
    if let Some(position) = relation.columns.iter().position(|column| *column == expr) {
        return Some(Expr::Column(position));
    }
    if let Expr::Column(_) = expr {
        return None;
    }
    for child in expr.children_mut() {
        *child = over_output(relation, child.clone())?;
    }
    Some(expr)
}

fn kind(join: &Join) -> Result<JoinKind> {
    if join.null_equality == NullEquality::NullEqualsNull {
        return Err(Error::unsupported("E201", "a join in which NULL equals NULL is not in this build"));
    }
    match join.join_type {
        JoinType::Inner => Ok(JoinKind::Inner),
        JoinType::Left => Ok(JoinKind::Left),
        JoinType::LeftSemi => Ok(JoinKind::Semi),
        JoinType::LeftAnti => Ok(JoinKind::Anti),
        JoinType::LeftMark => {
            Err(Error::unsupported("E201", "IN or EXISTS joined with OR to other conditions is not in this build")
                .with_hint("join it with AND, or write two queries and UNION ALL"))
        }
        other => Err(Error::unsupported("E201", format!("{other} joins are not in this build"))
            .with_hint("swap the two sides and write LEFT JOIN")),
    }
}

/// Whether a relation's predicate drops the rows for which an expression is NULL.
fn excludes_null(relation: &Relation, expr: &Expr) -> bool {
    let terms = relation.predicate.clone().map(conjuncts).unwrap_or_default();
    terms.iter().any(|term| matches!(term, Expr::IsNotNull(inner) if inner.as_ref() == expr))
}
