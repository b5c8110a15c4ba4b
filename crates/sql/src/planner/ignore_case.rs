//! The second try with names that are wrong in case only.
//!
//! Names are case-sensitive, as in Flink. But a query that fails on a name is read again with each unknown name replaced
//! by the one known name that agrees with it when case is ignored, if there is exactly one.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, VisitMut, VisitorMut};

use crate::catalog::Catalog;

/// The query with corrected names; none if there is nothing to correct.
pub fn rewrite(query: &Query, catalog: &Catalog) -> Option<Query> {
    let mut known = Known(catalog_names(catalog));
    let mut query = query.clone();
    let _ = query.visit(&mut CollectAliases(&mut known));
    let mut correct = Correct { known: &known, changed: false };
    let _ = query.visit(&mut correct);
    correct.changed.then_some(query)
}

struct Known(BTreeSet<String>);

impl Known {
    /// The only known name that differs from `name` in case alone.
    fn corrected(&self, name: &str) -> Option<&str> {
        if self.0.contains(name) {
            return None;
        }
        let mut like = self.0.iter().filter(|known| known.eq_ignore_ascii_case(name));
        match (like.next(), like.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    }
}

fn catalog_names(catalog: &Catalog) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for table in catalog.tables() {
        names.insert(table.name.clone());
        for column in &table.columns {
            names.insert(column.name.clone());
            column.data_type.iter().for_each(|data_type| collect_fields(data_type, &mut names));
        }
    }
    for view in catalog.views() {
        names.insert(view.name.clone());
        names.extend(view.columns.iter().flatten().cloned());
        let mut known = Known(std::mem::take(&mut names));
        let _ = view.query.clone().visit(&mut CollectAliases(&mut known));
        names = known.0;
    }
    names.extend(super::extension::WINDOW_COLUMNS.map(str::to_owned));
    names
}

fn collect_fields(data_type: &DataType, names: &mut BTreeSet<String>) {
    match data_type {
        DataType::Struct(fields) => fields.iter().for_each(|field| {
            names.insert(field.name().clone());
            collect_fields(field.data_type(), names);
        }),
        DataType::List(element) | DataType::Map(element, _) => collect_fields(element.data_type(), names),
        _ => {}
    }
}

/// Names that a query itself gives.
struct CollectAliases<'k>(&'k mut Known);

impl VisitorMut for CollectAliases<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let aliases = select.projection.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        });
        self.0.0.extend(aliases);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut sqlparser::ast::TableFactor) -> ControlFlow<()> {
        use sqlparser::ast::TableFactor::{Derived, NestedJoin, Table, UNNEST};
        if let Table { alias: Some(alias), .. }
        | Derived { alias: Some(alias), .. }
        | UNNEST { alias: Some(alias), .. }
        | NestedJoin { alias: Some(alias), .. } = factor
        {
            self.0.0.insert(alias.name.value.clone());
            self.0.0.extend(alias.columns.iter().map(|column| column.name.value.clone()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.0.0.extend(tables.map(|table| table.alias.name.value.clone()));
        ControlFlow::Continue(())
    }
}

struct Correct<'k> {
    known: &'k Known,
    changed: bool,
}

impl Correct<'_> {
    fn ident(&mut self, ident: &mut Ident) {
        if let Some(corrected) = self.known.corrected(&ident.value) {
            ident.value = corrected.to_owned();
            self.changed = true;
        }
    }
}

impl VisitorMut for Correct<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(ident) => self.ident(ident),
            Expr::CompoundIdentifier(idents) => idents.iter_mut().for_each(|ident| self.ident(ident)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
