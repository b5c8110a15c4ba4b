//! Which part of a table a query needs, in terms of an index: ranges of its key, and the first rows in its order.
//!
//! Only queries read an index (docs/adr/0013): what an INSERT has read must be there again after a restart.

use arrow::datatypes::DataType;
use fleuve_plan::{
    BinaryOp, Changelog, Expr, FirstRows, IndexRead, KeyBound, KeyColumn, KeyInterval, Literal, NodeId, Operator,
    Pipeline, ReadOrder, SortKey, SourceSpec, Value,
};

use super::relation::conjuncts;
use crate::catalog::{Catalog, IndexDef};

/// Tables of these connectors can tell whether an index has read all that they have.
const CONNECTORS: [&str; 2] = ["filesystem", "topic"];

/// Lets the sources of a query read what they need through indexes.
pub fn choose(pipeline: &mut Pipeline, catalog: &Catalog) {
    for id in 0..pipeline.nodes.len() {
        let sorted = sort_above(pipeline, id);
        let node = &mut pipeline.nodes[id];
        let Operator::Source(spec) = &mut node.operator else { continue };
        let is_plain = spec.order == ReadOrder::Stored && spec.watermark.is_none();
        let is_found = CONNECTORS.contains(&spec.options.connector()) && super::is_bounded(&spec.options);
        if !is_plain || !is_found || node.changelog != Changelog::AppendOnly {
            continue;
        }
        let indexes = catalog.indexes().filter(|index| index.table == spec.table);
        let reads = indexes.filter_map(|index| read(index, spec, sorted.as_ref()));
        // The first of those that use most: earlier indexes win where there is nothing between them.
        if let Some(best) = reads.min_by_key(|read| (read.first.is_none(), std::cmp::Reverse(read.key.len()))) {
            spec.order = ReadOrder::Indexed(Box::new(best));
        }
    }
}

/// What an index can do for a source; none if that is nothing.
fn read(index: &IndexDef, spec: &SourceSpec, sorted: Option<&(SortKey, u64)>) -> Option<IndexRead> {
    let terms = spec.predicate.clone().map(conjuncts).unwrap_or_default();
    let column_of = |name: &String| spec.physical.fields().iter().position(|field| field.name() == name);
    let mut key = vec![];
    let mut used = vec![];
    for name in &index.columns {
        let Some(column) = column_of(name) else { break };
        let data_type = spec.physical.field(column).data_type();
        let found = terms.iter().enumerate().filter_map(|(at, term)| Some((at, intervals(term, column, data_type)?)));
        let (at, all_of): (Vec<usize>, Vec<Vec<KeyInterval>>) = found.unzip();
        if all_of.is_empty() {
            break;
        }
        used.push(at.len());
        key.push(KeyColumn { name: name.clone(), all_of });
    }
    let first_column = index.columns.first().and_then(column_of)?;
    let by_key = |(sort, _): &&(SortKey, u64)| spec.output.get(sort.column) == Some(&Expr::Column(first_column));
    let is_all = used.first().copied().unwrap_or(0) == terms.len();
    let first = sorted.filter(|_| is_all).filter(by_key).map(|(sort, rows)| FirstRows {
        rows: *rows,
        descending: sort.descending,
        nulls_first: sort.nulls_first,
    });
    if first.is_some() {
        key.truncate(1);
    }
    (first.is_some() || !key.is_empty()).then(|| IndexRead { index: index.name.clone(), key, first })
}

/// The first key of the sort above a node and the rows that it keeps, if that is all that becomes of the node's rows; the key's
/// column is the node's.
fn sort_above(pipeline: &Pipeline, id: NodeId) -> Option<(SortKey, u64)> {
    let mut above = pipeline.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&id));
    let (Some((at, node)), None) = (above.next(), above.next()) else { return None };
    match &node.operator {
        Operator::Sort { keys, skip, fetch: Some(fetch) } => Some((*keys.first()?, fetch.saturating_add(*skip))),
        Operator::Calc { predicate: None, projection } => {
            let (key, rows) = sort_above(pipeline, at)?;
            match projection.get(key.column) {
                Some(Expr::Column(column)) => Some((SortKey { column: *column, ..key }, rows)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The intervals that a condition leaves to a column; none if it says nothing that an index could use.
fn intervals(term: &Expr, column: usize, data_type: &DataType) -> Option<Vec<KeyInterval>> {
    let is_it = |expr: &Expr| *expr == Expr::Column(column);
    match term {
        Expr::Binary { op: BinaryOp::Or, left, right } => {
            let mut found = intervals(left, column, data_type)?;
            found.extend(intervals(right, column, data_type)?);
            Some(found)
        }
        Expr::Binary { op, left, right } => match (left.as_ref(), right.as_ref()) {
            (Expr::Literal(value), other) => compared(other, mirrored(*op)?, value, column, data_type),
            (other, Expr::Literal(value)) => compared(other, *op, value, column, data_type),
            _ => None,
        },
        Expr::InList { expr, list, negated: false } => {
            let value = |item: &Expr| match item {
                Expr::Literal(value) => Some(KeyInterval::Is(constant(expr, value, column, data_type)?)),
                _ => None,
            };
            list.iter().map(value).collect()
        }
        Expr::IsNull(expr) if is_it(expr) => Some(vec![KeyInterval::Null]),
        Expr::IsNotNull(expr) if is_it(expr) => Some(vec![KeyInterval::Between { low: None, high: None }]),
        Expr::Like { expr, pattern, negated: false, ignore_case: false } if is_it(expr) => match pattern.as_ref() {
            Expr::Literal(Literal { value: Value::String(pattern), .. }) => {
                let prefix = pattern.strip_suffix('%')?;
                // What stands behind another wildcard could not be left to the index alone.
                let is_plain = !prefix.is_empty() && !prefix.contains(['%', '_', '\\', '\0']);
                is_plain.then(|| vec![KeyInterval::Prefix(prefix.to_owned())])
            }
            _ => None,
        },
        _ => None,
    }
}

/// `value op column` as `column op value`.
fn mirrored(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::Eq => BinaryOp::Eq,
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::LtEq => BinaryOp::GtEq,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::GtEq => BinaryOp::LtEq,
        _ => return None,
    })
}

/// `expr op value`, if the expression is the column.
fn compared(expr: &Expr, op: BinaryOp, value: &Literal, column: usize, of: &DataType) -> Option<Vec<KeyInterval>> {
    let value = constant(expr, value, column, of)?;
    let bound = |inclusive| Some(KeyBound { value: value.clone(), inclusive });
    Some(vec![match op {
        BinaryOp::Eq => KeyInterval::Is(value),
        BinaryOp::Lt | BinaryOp::LtEq => KeyInterval::Between { low: None, high: bound(op == BinaryOp::LtEq) },
        BinaryOp::Gt | BinaryOp::GtEq => KeyInterval::Between { low: bound(op == BinaryOp::GtEq), high: None },
        _ => return None,
    }])
}

/// The constant that a column is compared with, if it stands in a key as the column's values do: both are of one type, or both are
/// integers, or both floating-point numbers, of any widths.
fn constant(expr: &Expr, value: &Literal, column: usize, of: &DataType) -> Option<Literal> {
    let is_it = match expr {
        Expr::Column(own) => *own == column,
        Expr::Cast { expr, to, .. } => {
            **expr == Expr::Column(column) && (widens(of, to, INTEGERS) || widens(of, to, FLOATS))
        }
        _ => false,
    };
    let both = |family: &[DataType]| family.contains(of) && family.contains(&value.data_type);
    let fits = match &value.value {
        Value::Int(_) => both(INTEGERS) || *of == value.data_type,
        Value::Float(_) => both(FLOATS),
        Value::String(_) | Value::Bytes(_) | Value::Decimal(_) => *of == value.data_type,
        _ => false,
    };
    (is_it && fits).then(|| value.clone())
}

/// Signed integers, from the narrowest on.
const INTEGERS: &[DataType] = &[DataType::Int8, DataType::Int16, DataType::Int32, DataType::Int64];

/// Floating-point numbers, from the narrowest on.
const FLOATS: &[DataType] = &[DataType::Float32, DataType::Float64];

/// Whether a conversion leaves every value what it is.
fn widens(from: &DataType, to: &DataType, family: &[DataType]) -> bool {
    let place = |data_type| family.iter().position(|own| own == data_type);
    matches!((place(from), place(to)), (Some(from), Some(to)) if from <= to)
}
