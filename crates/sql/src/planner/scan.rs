//! Scans: what a query reads of a table becomes a source, shared by all its readers.
//!
//! Reading is the most expensive thing that a pipeline does, so a table is read once, however often it is named. A
//! single reader's filter and projection go into the source itself. Several readers share a source that yields every
//! field that one of them reads, for the rows that at least one of them wants, and each has a `Calc` above it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use fleuve_plan::{BinaryOp, Expr, Literal, ReadOrder, SourceSpec, Value, WatermarkSpec};

use super::lower_expr::alternatives;
use super::relation::conjuncts;
use super::table::BoundTable;

/// A source over a table. With `watermark` the table's declared watermark is kept.
pub fn source_spec(table: &BoundTable, predicate: Option<Expr>, output: Vec<Expr>, watermark: bool) -> SourceSpec {
    let reader = Reader { predicate, output }.simplified(table);
    let full = table.full_row();
    let watermark = table.watermark.as_ref().filter(|_| watermark);
    let mut spec = SourceSpec {
        table: table.definition.name.clone(),
        options: table.definition.options.clone(),
        physical: Arc::new(Schema::new(table.physical.clone())),
        metadata: table.metadata.iter().map(|(_, key)| key.clone()).collect(),
        metadata_schema: Arc::new(Schema::new(
            table.metadata.iter().map(|(field, _)| Arc::clone(field)).collect::<Vec<_>>(),
        )),
        computed: table.computed.iter().map(|(_, expr)| expr.clone()).collect(),
        computed_schema: Arc::new(Schema::new(
            table.computed.iter().map(|(field, _)| Arc::clone(field)).collect::<Vec<_>>(),
        )),
        watermark: watermark
            .map(|(column, expr)| WatermarkSpec { column: full[*column].name().clone(), expr: expr.clone() }),
        predicate: reader.predicate,
        output: reader.output,
        primary_key: table.primary_key(),
        order: ReadOrder::Stored,
    };
    drop_unread_computed(&mut spec, table.computed_start());
    spec
}

/// Leaves out the computed columns that nothing reads, so that their inputs need not be decoded.
fn drop_unread_computed(spec: &mut SourceSpec, start: usize) {
    let mut read = vec![false; spec.computed.len()];
    let mark = |expr: &Expr, read: &mut Vec<bool>| {
        for column in expr.columns() {
            if let Some(flag) = column.checked_sub(start).and_then(|index| read.get_mut(index)) {
                *flag = true;
            }
        }
    };
    spec.output.iter().chain(&spec.predicate).for_each(|expr| mark(expr, &mut read));
    if let Some(watermark) = &spec.watermark {
        mark(&watermark.expr, &mut read);
        let named = spec.computed_schema.fields().iter().position(|field| field.name() == &watermark.column);
        named.into_iter().for_each(|index| read[index] = true);
    }
    for index in (0..spec.computed.len()).rev().filter(|index| read[*index]).collect::<Vec<_>>() {
        mark(&spec.computed[index].clone(), &mut read);
    }
    // A column that is only read by a kept one with a smaller number cannot exist: each is over those before it.
    let kept: Vec<usize> = (0..read.len()).filter(|index| read[*index]).collect();
    let moved = |column: usize| match column.checked_sub(start) {
        None => column,
        Some(index) => start + kept.iter().position(|kept| *kept == index).unwrap_or(index),
    };
    let expressions = spec.output.iter_mut().chain(&mut spec.predicate).chain(&mut spec.computed);
    expressions.for_each(|expr| expr.map_columns(&moved));
    spec.watermark.iter_mut().for_each(|watermark| watermark.expr.map_columns(&moved));
    let fields = spec.computed_schema.fields();
    spec.computed_schema =
        Arc::new(Schema::new(kept.iter().map(|index| Arc::clone(&fields[*index])).collect::<Vec<_>>()));
    spec.computed = kept.iter().map(|index| spec.computed[*index].clone()).collect();
    spec.primary_key.retain(|column| *column < start + spec.computed.len());
}

/// One reader of a table: expressions over its full row.
#[derive(Debug, Clone, PartialEq)]
pub struct Reader {
    /// Which rows.
    pub predicate: Option<Expr>,
    /// What of them.
    pub output: Vec<Expr>,
}

impl Reader {
    /// Uses what the predicate says of a row: below `kind = 2` a `CASE kind WHEN 0 … WHEN 2 …` is its third branch.
    pub fn simplified(self, table: &BoundTable) -> Self {
        let terms = self.predicate.map(conjuncts).unwrap_or_default();
        let known: BTreeMap<usize, Literal> = terms.iter().filter_map(constant_column).collect();
        let simplify = |expr: Expr| {
            let inlined = inline_computed(expr.clone(), table);
            let folded = fold(substitute(inlined, &known));
            if is_path(&folded) { folded } else { fold(substitute(expr, &known)) }
        };
        let term = |term: Expr| match constant_column(&term) {
            Some(_) => term,
            None => simplify(term),
        };
        let predicate = Expr::and_all(terms.into_iter().map(term).filter(|term| !is_true(term)));
        Reader { predicate, output: self.output.into_iter().map(simplify).collect() }
    }
}

fn is_true(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(Literal { value: Value::Bool(true), .. }))
}

/// A column, a field in it, or a constant.
fn is_path(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) | Expr::Literal(_) | Expr::EpochClock => true,
        Expr::Field { expr, .. } => is_path(expr),
        _ => false,
    }
}

/// `column = constant`.
fn constant_column(term: &Expr) -> Option<(usize, Literal)> {
    match term {
        Expr::Binary { op: BinaryOp::Eq, left, right } => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(column), Expr::Literal(literal)) | (Expr::Literal(literal), Expr::Column(column))
                if literal.value != Value::Null =>
            {
                Some((*column, literal.clone()))
            }
            _ => None,
        },
        _ => None,
    }
}

fn substitute(mut expr: Expr, known: &BTreeMap<usize, Literal>) -> Expr {
    if let Expr::Column(column) = &expr
        && let Some(literal) = known.get(column)
    {
        return Expr::Literal(literal.clone());
    }
    for child in expr.children_mut() {
        *child = substitute(std::mem::replace(child, Expr::EpochClock), known);
    }
    expr
}

/// Computed columns by their expressions.
pub fn inline_computed(mut expr: Expr, table: &BoundTable) -> Expr {
    if let Expr::Column(column) = &expr
        && let Some((_, computed)) =
            column.checked_sub(table.computed_start()).and_then(|index| table.computed.get(index))
    {
        return inline_computed(computed.clone(), table);
    }
    for child in expr.children_mut() {
        *child = inline_computed(std::mem::replace(child, Expr::EpochClock), table);
    }
    expr
}

/// Decides comparisons of constants, and what hangs on them.
fn fold(mut expr: Expr) -> Expr {
    for child in expr.children_mut() {
        *child = fold(std::mem::replace(child, Expr::EpochClock));
    }
    match expr {
        Expr::Binary { op, left, right } => fold_binary(op, *left, *right),
        Expr::Case { operand, branches, otherwise } => fold_case(operand, branches, otherwise),
        Expr::Not(inner) => match truth(&inner) {
            Some(value) => boolean(!value),
            None => Expr::Not(inner),
        },
        Expr::InList { expr, list, negated } => match decided(&expr, &list) {
            Some(found) => boolean(found != negated),
            None => Expr::InList { expr, list, negated },
        },
        other => other,
    }
}

fn fold_binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    match (op, truth(&left), truth(&right)) {
        (BinaryOp::And, Some(false), _) | (BinaryOp::And, _, Some(false)) => return boolean(false),
        (BinaryOp::Or, Some(true), _) | (BinaryOp::Or, _, Some(true)) => return boolean(true),
        (BinaryOp::And, Some(true), _) | (BinaryOp::Or, Some(false), _) => return right,
        (BinaryOp::And, _, Some(true)) | (BinaryOp::Or, _, Some(false)) => return left,
        _ => {}
    }
    match (op, equal(&left, &right)) {
        (BinaryOp::Eq, Some(value)) => boolean(value),
        (BinaryOp::NotEq, Some(value)) => boolean(!value),
        _ => Expr::binary(op, left, right),
    }
}

fn fold_case(operand: Option<Box<Expr>>, branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>>) -> Expr {
    let mut open = vec![];
    let mut otherwise = otherwise;
    for (when, then) in branches {
        let decided = match &operand {
            Some(operand) => equal(operand, &when),
            None => truth(&when),
        };
        match decided {
            Some(false) => {}
            Some(true) => {
                otherwise = Some(Box::new(then));
                break;
            }
            None => open.push((when, then)),
        }
    }
    match otherwise {
        Some(otherwise) if open.is_empty() => *otherwise,
        otherwise => Expr::Case { operand, branches: open, otherwise },
    }
}

fn boolean(value: bool) -> Expr {
    Expr::Literal(Literal { data_type: DataType::Boolean, value: Value::Bool(value) })
}

fn truth(expr: &Expr) -> Option<bool> {
    match expr {
        Expr::Literal(Literal { value: Value::Bool(value), .. }) => Some(*value),
        _ => None,
    }
}

/// Whether two constants are equal; none if it is not known.
fn equal(left: &Expr, right: &Expr) -> Option<bool> {
    let (Expr::Literal(left), Expr::Literal(right)) = (left, right) else { return None };
    match (&left.value, &right.value) {
        (Value::Int(a), Value::Int(b)) if left.data_type == right.data_type => Some(a == b),
        (Value::String(a), Value::String(b)) => Some(a == b),
        (Value::Bool(a), Value::Bool(b)) => Some(a == b),
        _ => None,
    }
}

fn decided(expr: &Expr, list: &[Expr]) -> Option<bool> {
    let answers: Option<Vec<bool>> = list.iter().map(|item| equal(expr, item)).collect();
    answers.map(|answers| answers.contains(&true))
}

/// A source for several readers, and for each reader what it does above the source.
pub struct Shared {
    /// What the source yields, over the full row.
    pub output: Vec<Expr>,
    /// Names and types of the output.
    pub fields: Vec<FieldRef>,
    /// Which rows at least one reader wants, as far as it can be told from constants.
    pub predicate: Option<Expr>,
    /// Each reader over the source's output.
    pub readers: Vec<Reader>,
}

/// An expression converted to a type; a constant NULL takes the type itself.
pub fn recast(expr: Expr, to: &DataType) -> Expr {
    match expr {
        Expr::Literal(Literal { value: Value::Null, .. }) => {
            Expr::Literal(Literal { data_type: to.clone(), value: Value::Null })
        }
        expr => Expr::Cast { expr: Box::new(expr), to: to.clone(), lenient: false },
    }
}

/// Merges the readers of a table.
pub fn share(table: &BoundTable, readers: Vec<Reader>) -> Shared {
    let readers: Vec<Reader> = readers.into_iter().map(|reader| reader.simplified(table)).collect();
    let predicate = common_alternatives(&readers);
    let mut output: Vec<Expr> = vec![];
    for expr in readers.iter().flat_map(|reader| reader.output.iter().chain(&reader.predicate)) {
        collect_paths(expr, &mut output);
    }
    let full = table.full_row();
    let fields = output.iter().map(|path| path_field(path, &full)).collect();
    let above = |expr: Expr| over_paths(expr, &output);
    let readers = readers.into_iter().map(|reader| Reader {
        predicate: reader.predicate.map(above),
        output: reader.output.into_iter().map(above).collect(),
    });
    let readers = readers.collect();
    Shared { output, fields, predicate, readers }
}

/// The longest chains of fields over columns.
fn collect_paths(expr: &Expr, paths: &mut Vec<Expr>) {
    if matches!(expr, Expr::Column(_) | Expr::Field { .. }) && is_path(expr) {
        if !paths.contains(expr) {
            paths.push(expr.clone());
        }
        return;
    }
    expr.children().into_iter().for_each(|child| collect_paths(child, paths));
}

fn over_paths(mut expr: Expr, paths: &[Expr]) -> Expr {
    if let Some(position) = paths.iter().position(|path| *path == expr) {
        return Expr::Column(position);
    }
    for child in expr.children_mut() {
        *child = over_paths(std::mem::replace(child, Expr::EpochClock), paths);
    }
    expr
}

/// Name and type of a chain of fields.
fn path_field(path: &Expr, full: &[FieldRef]) -> FieldRef {
    let unknown = || Arc::new(Field::new("field", DataType::Null, true));
    match path {
        Expr::Column(index) => full.get(*index).cloned().unwrap_or_else(unknown),
        Expr::Field { expr, name } => {
            let row = path_field(expr, full);
            let fields = match row.data_type() {
                DataType::Struct(fields) => fields.clone(),
                _ => Fields::empty(),
            };
            match fields.iter().find(|field| field.name() == name) {
                Some(field) => Arc::new(field.as_ref().clone().with_nullable(field.is_nullable() || row.is_nullable())),
                None => unknown(),
            }
        }
        _ => unknown(),
    }
}

/// `path IN (…)` over the same path in every reader's predicate, united.
fn common_alternatives(readers: &[Reader]) -> Option<Expr> {
    let of_reader = |reader: &Reader| -> Vec<(Expr, Vec<Expr>)> {
        let terms = reader.predicate.clone().map(conjuncts).unwrap_or_default();
        let found = terms.iter().filter_map(|term| alternatives(term).map(|(path, list)| (path.clone(), list)));
        found.filter(|(path, _)| is_path(path)).collect()
    };
    let all: Vec<_> = readers.iter().map(of_reader).collect();
    let (first, rest) = all.split_first()?;
    let united = first.iter().filter_map(|(path, list)| {
        let mut list = list.clone();
        for reader in rest {
            let (_, more) = reader.iter().find(|(other, _)| other == path)?;
            more.iter().for_each(|item| {
                if !list.contains(item) {
                    list.push(item.clone());
                }
            });
        }
        Some(one_of(path.clone(), list))
    });
    Expr::and_all(united)
}

fn one_of(path: Expr, mut list: Vec<Expr>) -> Expr {
    match list.len() {
        1 => Expr::binary(BinaryOp::Eq, path, list.remove(0)),
        _ => Expr::InList { expr: Box::new(path), list, negated: false },
    }
}
