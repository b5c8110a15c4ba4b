//! What names mean: tables, views and functions of the catalog, for the analysis library.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DFSchema, Result, TableReference};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, ScalarUDF, TableSource, WindowUDF};
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use fleuve_base::Error;
use sqlparser::ast;

use super::aggregate_decl::{aggregate, aggregate_names};
use super::analyze::analyze_expr;
use super::errors::{external, from_datafusion};
use super::expr_planner::FlinkExprPlanner;
use super::markers;
use super::prepare::{Scope, prepare_expr, prepare_query};
use super::relation_planner::FlinkRelationPlanner;
use super::sql_function::SqlFunction;
use super::table::BoundTable;
use crate::catalog::{Catalog, Relation, ViewDef};

/// Views within views, and SQL functions within SQL functions.
const NESTING_MAX: usize = 64;

/// The catalog, as the analysis library asks for it. Tables, views and functions are analysed once, on first use.
pub struct Context<'a> {
    catalog: &'a Catalog,
    options: ConfigOptions,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    relations: RefCell<HashMap<String, Arc<dyn TableSource>>>,
    functions: RefCell<HashMap<String, Arc<ScalarUDF>>>,
    /// An error met while a function was looked up, where the library has no way to report one.
    failure: RefCell<Option<Error>>,
    depth: Cell<usize>,
}

impl<'a> Context<'a> {
    /// A context over a catalog.
    pub fn new(catalog: &'a Catalog) -> Self {
        let mut options = ConfigOptions::default();
        options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
        options.optimizer.expand_views_at_output = false;
        options.sql_parser.enable_ident_normalization = false;
        Context {
            catalog,
            options,
            expr_planners: vec![Arc::new(FlinkExprPlanner)],
            relation_planners: vec![Arc::new(FlinkRelationPlanner)],
            relations: RefCell::default(),
            functions: RefCell::default(),
            failure: RefCell::default(),
            depth: Cell::new(0),
        }
    }

    /// The catalog.
    pub fn catalog(&self) -> &'a Catalog {
        self.catalog
    }

    /// The analysed form of a query: names and types resolved, nothing optimised.
    pub fn query(&self, query: &ast::Query) -> Result<LogicalPlan, Error> {
        self.take_failure();
        let prepared = prepare_query(query, &self.scope())?;
        let planned = self.planner().sql_statement_to_plan(ast::Statement::Query(Box::new(prepared)));
        planned.map_err(|error| self.take_failure().unwrap_or_else(|| from_datafusion(error)))
    }

    /// A scalar expression over named columns, analysed and coerced.
    pub fn scalar(&self, expr: &ast::Expr, schema: &DFSchema) -> Result<Expr, Error> {
        let prepared = prepare_expr(expr, &self.scope())?;
        let planned = self.planner().sql_to_expr(prepared, schema, &mut PlannerContext::new());
        let planned = planned.map_err(|error| self.take_failure().unwrap_or_else(|| from_datafusion(error)))?;
        analyze_expr(planned, schema).map_err(from_datafusion)
    }

    fn planner(&self) -> SqlToRel<'_, Self> {
        let options = ParserOptions::new()
            .with_parse_float_as_decimal(true)
            .with_enable_ident_normalization(false)
            .with_collect_spans(true)
            .with_map_string_types_to_utf8view(false);
        SqlToRel::new_with_options(self, options)
    }

    fn scope(&self) -> Scope<'_> {
        Scope { catalog: self.catalog }
    }

    fn take_failure(&self) -> Option<Error> {
        self.failure.borrow_mut().take()
    }

    /// The table of this name, with its expressions analysed.
    pub fn table(&self, name: &str) -> Result<Arc<dyn TableSource>, Error> {
        if let Some(known) = self.relations.borrow().get(name) {
            return Ok(Arc::clone(known));
        }
        let bound: Arc<dyn TableSource> = match self.catalog.expect_relation(name)? {
            Relation::Table(table) => Arc::new(BoundTable::bind(table, self)?),
            Relation::View(view) => Arc::new(self.nested(&view.name, || self.view(view))?),
        };
        self.relations.borrow_mut().insert(name.to_owned(), Arc::clone(&bound));
        Ok(bound)
    }

    fn view(&self, view: &ViewDef) -> Result<View, Error> {
        let in_view = |error: Error| match error.detail() {
            Some(detail) => {
                let detail = format!("{detail}; in the view `{}`", view.name);
                error.with_detail(detail)
            }
            None => error.with_detail(format!("in the view `{}`", view.name)),
        };
        let plan = self.query(&view.query).map_err(in_view)?;
        let plan = match &view.columns {
            Some(columns) => rename(plan, columns).map_err(|error| in_view(from_datafusion(error)))?,
            None => plan,
        };
        let fields: Vec<FieldRef> = plan.schema().fields().iter().cloned().collect();
        Ok(View { plan, schema: Arc::new(Schema::new(fields)) })
    }

    fn function(&self, name: &str) -> Result<Option<Arc<ScalarUDF>>, Error> {
        if let Some(known) = self.functions.borrow().get(name) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(function) = self.catalog.function(name) else { return Ok(None) };
        let fields = function.params.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
        let schema = DFSchema::try_from(Schema::new(fields.collect::<Vec<_>>())).map_err(from_datafusion)?;
        let body = self.nested(name, || self.scalar(&function.body, &schema))?;
        let udf = SqlFunction::udf(name.to_owned(), function.params.clone(), function.returns.clone(), body);
        self.functions.borrow_mut().insert(name.to_owned(), Arc::clone(&udf));
        Ok(Some(udf))
    }

    /// Guards against definitions that contain themselves, which a DROP and a new CREATE can make.
    fn nested<T>(&self, name: &str, plan: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if self.depth.get() >= NESTING_MAX {
            let text = format!("`{name}` lies more than {NESTING_MAX} definitions deep, or contains itself");
            return Err(Error::input("E003", text));
        }
        self.depth.set(self.depth.get() + 1);
        let result = plan();
        self.depth.set(self.depth.get() - 1);
        result
    }
}

fn rename(plan: LogicalPlan, names: &[String]) -> Result<LogicalPlan> {
    let columns = plan.schema().columns();
    if columns.len() != names.len() {
        let text = format!("{} names are given to {} columns", names.len(), columns.len());
        return Err(external(Error::input("E021", text)));
    }
    let renamed = columns.into_iter().zip(names).map(|(column, name)| Expr::Column(column).alias(name));
    datafusion_expr::LogicalPlanBuilder::from(plan).project(renamed)?.build()
}

impl ContextProvider for Context<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        self.table(name.table()).map_err(external)
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(FlinkTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let name = name.to_ascii_lowercase();
        match self.function(&name) {
            Ok(Some(function)) => Some(function),
            Ok(None) => markers::marker(&name).or_else(|| fleuve_functions::registry::scalar(&name)),
            Err(error) => {
                self.failure.borrow_mut().get_or_insert(error);
                None
            }
        }
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        aggregate(name)
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, names: &[String]) -> Option<DataType> {
        self.get_variable_field(names).map(|field| field.data_type().clone())
    }

    fn get_variable_field(&self, names: &[String]) -> Option<FieldRef> {
        (names == [markers::CLOCK]).then(markers::clock_field)
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        fleuve_functions::registry::scalar_names().into_iter().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        vec![]
    }

    fn udaf_names(&self) -> Vec<String> {
        aggregate_names()
    }

    fn udwf_names(&self) -> Vec<String> {
        vec![]
    }
}

/// A view: its plan stands in its place.
struct View {
    plan: LogicalPlan,
    schema: SchemaRef,
}

impl TableSource for View {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        Some(Cow::Borrowed(&self.plan))
    }
}

/// The dialect's types in CAST.
#[derive(Debug)]
struct FlinkTypes;

impl TypePlanner for FlinkTypes {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let data_type = crate::types::from_ast(sql_type).map_err(external)?;
        Ok(Some(Arc::new(Field::new("", data_type, true))))
    }
}

/// The catalog's functions, aggregates and scalar functions by name, for suggestions.
pub fn function_names(catalog: &Catalog) -> Vec<String> {
    let own = catalog.functions().map(|function| function.name.clone());
    let scalar = fleuve_functions::registry::scalar_names().into_iter().map(str::to_owned);
    let windows = markers::GROUP_WINDOWS.iter().map(|name| (*name).to_owned());
    own.chain(scalar).chain(aggregate_names()).chain(windows).collect()
}
