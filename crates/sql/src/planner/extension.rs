//! Logical operators that standard SQL lacks: the window table functions, the lookup side of a system-time join, and
//! UNNEST.
//!
//! They live between name resolution and lowering, so that the optimiser can move filters and drop columns around
//! them. [`super::lower`] turns them into operators of the plan.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion_common::{Column, DFSchema, DFSchemaRef, Result, TableReference};
use datafusion_expr::{
    Expr, ExprSchemable, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use fleuve_base::{Error, Place};
use fleuve_plan::Window;

use super::errors::{at_opt, external};

/// The columns that a window table function appends.
pub const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// The type of the window columns.
pub const WINDOW_TYPE: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// Wraps a node into a plan.
pub fn plan_of(node: impl UserDefinedLogicalNode + 'static) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// The node of a plan, if it is of this kind.
pub fn node_of<T: 'static>(plan: &LogicalPlan) -> Option<&T> {
    match plan {
        LogicalPlan::Extension(extension) => extension.node.as_any().downcast_ref::<T>(),
        _ => None,
    }
}

/// `TUMBLE | HOP | SESSION (TABLE input, DESCRIPTOR(time), …)`.
#[derive(Debug, Clone)]
pub struct WindowFunction {
    /// The input.
    pub input: Arc<LogicalPlan>,
    /// The windows.
    pub window: Window,
    /// The DESCRIPTOR column.
    pub time: Column,
    /// `PARTITION BY` of a SESSION.
    pub partition: Vec<Column>,
    /// Where the call stands.
    pub place: Option<Place>,
    schema: DFSchemaRef,
}

impl WindowFunction {
    /// The input's columns, then the window's.
    pub fn new(
        input: LogicalPlan,
        window: Window,
        time: Column,
        partition: Vec<Column>,
        place: Option<Place>,
    ) -> Result<Self> {
        let mut fields: Vec<(Option<TableReference>, FieldRef)> = qualified_fields(input.schema());
        if let Some((_, field)) = fields.iter().find(|(_, field)| WINDOW_COLUMNS.contains(&field.name().as_str())) {
            let text = format!("the input of a window function already has a column `{}`", field.name());
            let error = Error::input("E013", text).with_hint("rename it in a subquery: SELECT … AS other_name");
            return Err(external(at_opt(error, place)));
        }
        let qualifier = fields.first().and_then(|(qualifier, _)| qualifier.clone());
        let appended = WINDOW_COLUMNS.map(|name| (qualifier.clone(), Arc::new(Field::new(name, WINDOW_TYPE, false))));
        fields.extend(appended);
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(WindowFunction { input: Arc::new(input), window, time, partition, place, schema })
    }

    fn key(&self) -> (&LogicalPlan, &Window, &Column, &[Column]) {
        (&self.input, &self.window, &self.time, &self.partition)
    }
}

impl PartialEq for WindowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for WindowFunction {}

impl PartialOrd for WindowFunction {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for WindowFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.time.hash(state);
        format!("{:?}", self.window).hash(state);
    }
}

impl UserDefinedLogicalNodeCore for WindowFunction {
    fn name(&self) -> &str {
        "WindowFunction"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(&self.time).chain(&self.partition).cloned().map(Expr::Column).collect()
    }

    /// Filters may go below, except on the window itself; a session's windows depend on which rows there are.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        match self.window {
            Window::Session { .. } => self.schema.fields().iter().map(|field| field.name().clone()).collect(),
            _ => WINDOW_COLUMNS.map(str::to_owned).into(),
        }
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WindowFunction: {:?} over {}", self.window, self.time)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut columns = exprs.into_iter().filter_map(|expr| expr.try_as_col().cloned());
        let time = columns.next().unwrap_or_else(|| self.time.clone());
        WindowFunction::new(only(inputs)?, self.window.clone(), time, columns.collect(), self.place.clone())
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|column| *column < width).collect();
        for column in std::iter::once(&self.time).chain(&self.partition) {
            needed.push(self.input.schema().index_of_column(column).ok()?);
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// `table FOR SYSTEM_TIME AS OF time`: the lookup side of a join.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SystemTime {
    /// The table.
    pub input: Arc<LogicalPlan>,
    /// The column of the other side whose time counts, as written: table (if any) and column.
    pub time: Vec<String>,
    /// Byte positions of that expression.
    pub span: Option<(usize, usize)>,
}

impl PartialOrd for SystemTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl SystemTime {
    /// Where the time is named.
    pub fn place(&self) -> Option<Place> {
        self.span.map(|(start, end)| Place::sql(start, end))
    }
}

impl UserDefinedLogicalNodeCore for SystemTime {
    fn name(&self) -> &str {
        "SystemTime"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SystemTime: AS OF {}", self.time.join("."))
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(SystemTime { input: Arc::new(only(inputs)?), ..self.clone() })
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

/// `UNNEST(expr)` in FROM, before it is known what stands left of it. [`super::analyze`] turns it into [`Unnest`].
#[derive(Debug, Clone)]
pub struct UnnestCall {
    /// The collection, over columns of the left side.
    pub collection: Expr,
    /// Also number the elements.
    pub ordinality: bool,
    /// Where the call stands.
    pub span: Option<(usize, usize)>,
    schema: DFSchemaRef,
}

impl UnnestCall {
    /// A call whose elements have the collection's element type.
    pub fn new(
        collection: Expr,
        of: &DataType,
        ordinality: bool,
        span: Option<(usize, usize)>,
    ) -> Result<Option<Self>> {
        let Some(fields) = element_fields(of, ordinality) else { return Ok(None) };
        let fields = fields.into_iter().map(|field| (None, field)).collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(Some(UnnestCall { collection, ordinality, span, schema }))
    }

    /// Where the call stands.
    pub fn place(&self) -> Option<Place> {
        self.span.map(|(start, end)| Place::sql(start, end))
    }
}

impl PartialEq for UnnestCall {
    fn eq(&self, other: &Self) -> bool {
        self.collection == other.collection && self.ordinality == other.ordinality
    }
}

impl Eq for UnnestCall {}

impl PartialOrd for UnnestCall {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for UnnestCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.collection.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for UnnestCall {
    fn name(&self) -> &str {
        "UnnestCall"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnnestCall: {}", self.collection)
    }

    fn with_exprs_and_inputs(&self, _exprs: Vec<Expr>, _inputs: Vec<LogicalPlan>) -> Result<Self> {
        Ok(self.clone())
    }
}

/// Each row of the input once for each element of a collection in it. Output: the input's columns, then the element's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unnest {
    /// The input.
    pub input: Arc<LogicalPlan>,
    /// The collection, over the input.
    pub collection: Expr,
    /// Also number the elements.
    pub ordinality: bool,
    /// Keep rows without elements.
    pub outer: bool,
    schema: DFSchemaRef,
}

impl PartialOrd for Unnest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Unnest {
    /// The elements of `call`, whose columns go by `qualifier`, beside the columns of `input`.
    pub fn new(input: LogicalPlan, call: &UnnestCall, collection: Expr, qualifier: &str, outer: bool) -> Result<Self> {
        // Of the collection as it is now: its literals may have got other types since the call was planned.
        let elements = element_fields(&collection.get_type(input.schema())?, call.ordinality)
            .ok_or_else(|| external(Error::internal("UNNEST lost its collection")))?;
        let mut fields = qualified_fields(input.schema());
        let qualifier = Some(TableReference::bare(qualifier.to_owned()));
        fields.extend(elements.into_iter().map(|field| (qualifier.clone(), field)));
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        Ok(Unnest { input: Arc::new(input), collection, ordinality: call.ordinality, outer, schema })
    }
}

impl UserDefinedLogicalNodeCore for Unnest {
    fn name(&self) -> &str {
        "Unnest"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.collection.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unnest: {}", self.collection)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let input = only(inputs)?;
        let elements = self.schema.iter().skip(self.input.schema().fields().len());
        let mut fields = qualified_fields(input.schema());
        fields.extend(elements.map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))));
        let schema = Arc::new(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?);
        let collection = exprs.into_iter().next().unwrap_or_else(|| self.collection.clone());
        Ok(Unnest { input: Arc::new(input), collection, schema, ..self.clone() })
    }
}

/// The columns that one element of a collection becomes; none if the type is not a collection.
pub fn element_fields(collection: &DataType, ordinality: bool) -> Option<Vec<FieldRef>> {
    let mut fields: Vec<FieldRef> = match collection {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            match element.data_type() {
                DataType::Struct(fields) => fields.iter().map(nullable).collect(),
                other => vec![Arc::new(Field::new("EXPR$0", other.clone(), true))],
            }
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields.iter().map(nullable).collect(),
            _ => return None,
        },
        _ => return None,
    };
    if ordinality {
        fields.push(Arc::new(Field::new("ORDINALITY", DataType::Int64, true)));
    }
    Some(fields)
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}

fn qualified_fields(schema: &DFSchema) -> Vec<(Option<TableReference>, FieldRef)> {
    schema.iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field))).collect()
}

/// The input of a node that has one.
pub fn only(inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    inputs.into_iter().next().ok_or_else(|| external(Error::internal("an operator lost its input")))
}
