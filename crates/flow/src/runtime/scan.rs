//! The source stage: what a source node wants decoded, and what is done to a decoded batch before it enters the dataflow.
//!
//! From the plan's expressions over the table's full row it derives the narrowest [`Scan`]: nested fields become flat
//! columns (`bid.price` is decoded without its ROW), conditions on raw fields become prefilters, and computed columns are
//! substituted where they are used, so that only what the query needs is ever built. Of a changelog it also asks for the
//! rows' weights, as the last column.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType};
use datafusion_physical_expr::PhysicalExpr;
use fleuve_base::{Error, Result};
use fleuve_functions::compile::{Calc, CompileContext, compile, evaluate};
use fleuve_plan::{BinaryOp, Changelog, Expr, Literal, ReadOrder, SourceSpec, Value};

use crate::batch::Batch;
use crate::operators::output_batch;
use crate::source::{Prefilter, Scan, ScanColumn, ScanField, WEIGHT};

/// The columns being collected for a scan, and the expressions rewritten onto them.
struct Flattener<'a> {
    spec: &'a SourceSpec,
    full: Schema,
    columns: Vec<ScanColumn>,
    names: Vec<String>,
}

impl<'a> Flattener<'a> {
    fn new(spec: &'a SourceSpec) -> Self {
        Flattener { spec, full: spec.full_schema(), columns: vec![], names: vec![] }
    }

    /// Rewrites an expression over the full row into one over the scan's columns.
    fn rewrite(&mut self, expr: &Expr) -> Result<Expr> {
        if let Some((field, name, data_type, nullable)) = self.path(expr)? {
            return Ok(Expr::Column(self.column(field, name, data_type, nullable)));
        }
        if let Expr::Column(position) = expr {
            let computed = position - self.physical_and_metadata();
            return self.rewrite(&self.spec.computed[computed]);
        }
        let mut rewritten = expr.clone();
        for child in rewritten.children_mut() {
            *child = self.rewrite(child)?;
        }
        Ok(rewritten)
    }

    fn physical_and_metadata(&self) -> usize {
        self.spec.physical.fields().len() + self.spec.metadata.len()
    }

    /// The scan field that an expression names directly: a physical or metadata column, or a field nested in one.
    fn path(&self, expr: &Expr) -> Result<Option<(ScanField, String, DataType, bool)>> {
        match expr {
            Expr::Column(position) => Ok(self.plain_column(*position)),
            Expr::Field { expr, name } => match self.path(expr)? {
                Some((ScanField::Data(mut path), outer, DataType::Struct(fields), outer_nullable)) => {
                    let (_, field) = fields
                        .find(name)
                        .ok_or_else(|| Error::internal(format!("ROW column {outer} has no field {name}")))?;
                    path.push(name.clone());
                    let nullable = outer_nullable || field.is_nullable();
                    Ok(Some((ScanField::Data(path), format!("{outer}.{name}"), field.data_type().clone(), nullable)))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn plain_column(&self, position: usize) -> Option<(ScanField, String, DataType, bool)> {
        let physical = self.spec.physical.fields().len();
        if position >= self.physical_and_metadata() {
            return None;
        }
        let field = self.full.field(position);
        let source = match position.checked_sub(physical) {
            None => ScanField::Data(vec![field.name().clone()]),
            Some(metadata) => ScanField::Metadata(self.spec.metadata[metadata].clone()),
        };
        Some((source, field.name().clone(), field.data_type().clone(), field.is_nullable()))
    }

    fn column(&mut self, field: ScanField, name: String, data_type: DataType, nullable: bool) -> usize {
        match self.columns.iter().position(|column| column.field == field) {
            Some(index) => index,
            None => {
                self.columns.push(ScanColumn { field, data_type, nullable });
                self.names.push(name);
                self.columns.len() - 1
            }
        }
    }

    fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter().zip(&self.names);
        Arc::new(Schema::new(
            fields.map(|(c, name)| Field::new(name, c.data_type.clone(), c.nullable)).collect::<Vec<_>>(),
        ))
    }
}

/// What a source node's plan means, before it is opened.
pub struct ScanPlan {
    /// What to ask the source for.
    pub scan: Scan,
    predicate: Option<Expr>,
    output: Vec<Expr>,
    output_schema: SchemaRef,
    watermark: WatermarkPlan,
    /// The scan's last column is the rows' weights.
    weighted: bool,
    /// The output's last column is the number of the rows' block.
    numbered: bool,
}

/// How the watermark of decoded rows is found.
enum WatermarkPlan {
    /// The query needs none.
    None,
    /// The decoder finds the maximum of a plain timestamp, and the watermark trails it by a constant.
    Trailing { delay_ms: i64 },
    /// An expression over the scan's columns, evaluated for every row.
    Expr(Expr),
}

impl ScanPlan {
    /// Derives the scan of a source node with this output schema and changelog.
    pub fn new(spec: &SourceSpec, output_schema: SchemaRef, changelog: Changelog) -> Result<Self> {
        let mut flattener = Flattener::new(spec);
        let predicate = spec.predicate.as_ref().map(|p| flattener.rewrite(p)).transpose()?;
        let output = spec.output.iter().map(|e| flattener.rewrite(e)).collect::<Result<Vec<_>>>()?;
        let (watermark, max_of) = watermark_plan(&mut flattener)?;
        // Rows that a prefilter drops must still move the watermark: it is pushed down only where the decoder takes care
        // of that, or no watermark is needed.
        let prefilter = match (&watermark, &predicate) {
            (WatermarkPlan::Expr(_), _) | (_, None) => vec![],
            (_, Some(predicate)) => prefilters(predicate, &flattener.columns),
        };
        let weighted = changelog == Changelog::Retract;
        if weighted {
            let weight = ScanField::Metadata(WEIGHT.to_owned());
            flattener.column(weight, WEIGHT.to_owned(), DataType::Int64, false);
        }
        let schema = flattener.schema();
        let scan = Scan { columns: flattener.columns, schema, prefilter, max_of };
        let numbered = matches!(spec.order, ReadOrder::ShuffledBlocks { .. });
        Ok(ScanPlan { scan, predicate, output, output_schema, watermark, weighted, numbered })
    }

    /// Compiles the stage for one worker.
    pub fn stage(&self, context: &CompileContext) -> Result<ScanStage> {
        let schema = &self.scan.schema;
        let watermark = match &self.watermark {
            WatermarkPlan::None => Watermark::None,
            WatermarkPlan::Trailing { delay_ms } => Watermark::Trailing { delay_ms: *delay_ms },
            WatermarkPlan::Expr(expr) => Watermark::Expr(compile(&to_millis(expr), schema, context)?),
        };
        let numbered = self.numbered.then(|| self.output_schema.clone());
        let projected = match numbered {
            Some(_) => Arc::new(Schema::new(self.output_schema.fields()[..self.output.len()].to_vec())),
            None => self.output_schema.clone(),
        };
        let calc = Calc::new(self.predicate.as_ref(), &self.output, schema, projected, context)?;
        Ok(ScanStage { calc, watermark, weighted: self.weighted, numbered })
    }
}

fn to_millis(expr: &Expr) -> Expr {
    Expr::Cast { expr: Box::new(expr.clone()), to: DataType::Timestamp(TimeUnit::Millisecond, None), lenient: false }
}

fn watermark_plan(flattener: &mut Flattener<'_>) -> Result<(WatermarkPlan, Option<Vec<String>>)> {
    let Some(watermark) = &flattener.spec.watermark else { return Ok((WatermarkPlan::None, None)) };
    let (inner, delay_ms) = constant_delay(&watermark.expr);
    if let Some((ScanField::Data(path), _, DataType::Timestamp(TimeUnit::Millisecond, _), _)) = flattener.path(inner)? {
        return Ok((WatermarkPlan::Trailing { delay_ms }, Some(path)));
    }
    Ok((WatermarkPlan::Expr(flattener.rewrite(&watermark.expr)?), None))
}

/// Splits `time - INTERVAL constant` into the time and the delay in milliseconds.
fn constant_delay(expr: &Expr) -> (&Expr, i64) {
    match expr {
        Expr::Binary { op: BinaryOp::Minus, left, right } => match right.as_ref() {
            Expr::Literal(Literal { value: Value::Interval { months: 0, days, nanos }, .. })
                if nanos % 1_000_000 == 0 =>
            {
                (left, i64::from(*days) * 86_400_000 + nanos / 1_000_000)
            }
            _ => (expr, 0),
        },
        _ => (expr, 0),
    }
}

/// The conjuncts of a predicate that a decoder can test on the raw field.
fn prefilters(predicate: &Expr, columns: &[ScanColumn]) -> Vec<Prefilter> {
    match predicate {
        Expr::Binary { op: BinaryOp::And, left, right } => {
            let mut all = prefilters(left, columns);
            all.extend(prefilters(right, columns));
            all
        }
        Expr::Binary { op: BinaryOp::Eq, left, right } => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(c), Expr::Literal(l)) | (Expr::Literal(l), Expr::Column(c)) => {
                prefilter(&columns[*c], std::slice::from_ref(l)).into_iter().collect()
            }
            _ => vec![],
        },
        Expr::InList { expr, list, negated: false } => match expr.as_ref() {
            Expr::Column(c) => {
                let literals: Option<Vec<Literal>> = list.iter().map(as_literal).collect();
                literals.and_then(|literals| prefilter(&columns[*c], &literals)).into_iter().collect()
            }
            _ => vec![],
        },
        _ => vec![],
    }
}

fn as_literal(expr: &Expr) -> Option<Literal> {
    match expr {
        Expr::Literal(literal) => Some(literal.clone()),
        _ => None,
    }
}

fn prefilter(column: &ScanColumn, literals: &[Literal]) -> Option<Prefilter> {
    let ScanField::Data(path) = &column.field else { return None };
    let testable = |l: &Literal| matches!(l.value, Value::Int(_) | Value::String(_) | Value::Bool(_));
    let simple = matches!(
        column.data_type,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 | DataType::Utf8 | DataType::Boolean
    );
    let usable = simple && !literals.is_empty() && literals.iter().all(testable);
    usable.then(|| Prefilter { path: path.clone(), any_of: literals.to_vec() })
}

/// A compiled source stage.
pub struct ScanStage {
    calc: Calc,
    watermark: Watermark,
    weighted: bool,
    /// The output with the block's number as its last column, if it has that.
    numbered: Option<SchemaRef>,
}

enum Watermark {
    None,
    Trailing { delay_ms: i64 },
    Expr(Arc<dyn PhysicalExpr>),
}

impl ScanStage {
    /// The watermark that decoded rows allow, in milliseconds: from the decoder's maximum, or from the rows themselves.
    pub fn watermark(&self, batches: &[RecordBatch], max_timestamp: Option<i64>) -> Result<Option<i64>> {
        match &self.watermark {
            Watermark::None => Ok(None),
            Watermark::Trailing { delay_ms } => Ok(max_timestamp.map(|max| max.saturating_sub(*delay_ms))),
            Watermark::Expr(expr) => {
                let maxima = batches.iter().map(|batch| {
                    let times = evaluate(expr, batch)?;
                    Ok(compute::max(times.as_primitive::<TimestampMillisecondType>()))
                });
                Ok(maxima.collect::<Result<Vec<_>>>()?.into_iter().flatten().max())
            }
        }
    }

    /// Filters and projects a decoded batch of a block into the node's output.
    pub fn apply(&self, batch: &RecordBatch, block: i64) -> Result<Batch> {
        if let Some(schema) = &self.numbered {
            let rows = self.calc.apply(batch)?;
            let mut columns = rows.columns().to_vec();
            columns.push(Arc::new(Int64Array::from_value(block, rows.num_rows())));
            return output_batch(schema, columns, rows.num_rows()).map(Batch::append);
        }
        if !self.weighted {
            return self.calc.apply(batch).map(Batch::append);
        }
        let weights = batch.columns().last().and_then(|column| column.as_primitive_opt::<Int64Type>());
        let weights = weights.ok_or_else(|| Error::internal("a source that was asked for weights has none"))?;
        let (columns, weights) = self.calc.apply_with_weights(batch, Some(weights))?;
        Ok(Batch { columns, weights })
    }
}
