//! `CREATE TABLE … LIKE other`: a table that takes parts of another one over.

use fleuve_base::{Error, Place, Result};

use crate::catalog::{Catalog, ColumnDef, ColumnKind, Relation, TableDef};
use crate::parser::statement::{CreateTable, Like, LikeFeature, LikeMode};

/// The whole definition of a table: what the statement says, and what its LIKE brings.
pub(crate) fn resolve(catalog: &Catalog, create: &CreateTable) -> Result<TableDef> {
    let Some(like) = &create.like else { return Ok(create.table.clone()) };
    let place = Place::sql(like.table.span.0, like.table.span.1);
    let source = match catalog.expect_relation(&like.table.value) {
        Ok(Relation::Table(table)) => Ok(table),
        Ok(Relation::View(view)) => Err(Error::input("E016", format!("`{}` is a view; LIKE takes a table", view.name))),
        Err(error) => Err(error),
    };
    let merged = source.and_then(|source| merge(create.table.clone(), source, like));
    merged.map_err(|error| error.at(place))
}

/// How a part is merged: what the statement says of it, or of ALL, or else the part's own default.
fn mode(like: &Like, feature: LikeFeature) -> LikeMode {
    let said =
        |wanted: LikeFeature| like.features.iter().rev().find(|(feature, _)| *feature == wanted).map(|(_, mode)| *mode);
    let default = match feature {
        LikeFeature::Options => LikeMode::Overwriting,
        _ => LikeMode::Including,
    };
    said(feature).or_else(|| said(LikeFeature::All)).unwrap_or(default)
}

fn merge(mut table: TableDef, source: &TableDef, like: &Like) -> Result<TableDef> {
    table.columns = columns(&table, source, like)?;
    let mode = |feature| mode(like, feature);
    table.watermark = part(table.watermark, source.watermark.clone(), mode(LikeFeature::Watermarks), "WATERMARK")?;
    let key = (!source.primary_key.is_empty()).then(|| source.primary_key.clone());
    let own_key = (!table.primary_key.is_empty()).then_some(table.primary_key);
    table.primary_key = part(own_key, key, mode(LikeFeature::Constraints), "PRIMARY KEY")?.unwrap_or_default();
    let partitions = (!source.partitioned_by.is_empty()).then(|| source.partitioned_by.clone());
    let own_partitions = (!table.partitioned_by.is_empty()).then_some(table.partitioned_by);
    let partitions = part(own_partitions, partitions, mode(LikeFeature::Partitions), "PARTITIONED BY")?;
    table.partitioned_by = partitions.unwrap_or_default();
    merge_options(&mut table, source, mode(LikeFeature::Options))?;
    finish(table)
}

/// One part that a table has at most once.
fn part<T>(own: Option<T>, theirs: Option<T>, mode: LikeMode, what: &str) -> Result<Option<T>> {
    match (own, theirs, mode) {
        (own, _, LikeMode::Excluding) | (own, None, _) => Ok(own),
        (None, theirs, _) => Ok(theirs),
        (own, Some(_), LikeMode::Overwriting) => Ok(own),
        (Some(_), Some(_), LikeMode::Including) => Err(declared_twice(what)),
    }
}

fn declared_twice(what: &str) -> Error {
    Error::input("E016", format!("both tables declare {what}"))
        .with_hint("leave one out, or add EXCLUDING or OVERWRITING after LIKE: LIKE t (OVERWRITING WATERMARKS)")
}

/// The other table's columns, then this one's.
fn columns(table: &TableDef, source: &TableDef, like: &Like) -> Result<Vec<ColumnDef>> {
    let mut columns = vec![];
    for column in &source.columns {
        let (feature, what) = match column.kind {
            ColumnKind::Physical => (None, "the column"),
            ColumnKind::Metadata { .. } => (Some(LikeFeature::Metadata), "the metadata column"),
            ColumnKind::Computed(_) => (Some(LikeFeature::Generated), "the computed column"),
        };
        let mode = feature.map_or(LikeMode::Including, |feature| mode(like, feature));
        let redeclared = table.column(&column.name).is_some();
        match mode {
            LikeMode::Excluding => {}
            LikeMode::Overwriting if redeclared => {}
            LikeMode::Including if redeclared => return Err(declared_twice(&format!("{what} `{}`", column.name))),
            _ => columns.push(column.clone()),
        }
    }
    columns.extend(table.columns.iter().cloned());
    Ok(columns)
}

fn merge_options(table: &mut TableDef, source: &TableDef, mode: LikeMode) -> Result<()> {
    if mode == LikeMode::Excluding {
        return Ok(());
    }
    for (key, value) in &source.options.0 {
        let own = table.options.0.contains_key(key);
        if own && mode == LikeMode::Including {
            return Err(declared_twice(&format!("the option '{key}'")));
        }
        if !own {
            table.options.0.insert(key.clone(), value.clone());
        }
    }
    Ok(())
}

/// Checks what only the whole table shows: that the columns named by its parts exist.
fn finish(mut table: TableDef) -> Result<TableDef> {
    let watermark = table.watermark.iter().map(|watermark| &watermark.column);
    let named = table.primary_key.iter().chain(&table.partitioned_by).chain(watermark);
    if let Some(unknown) = named.into_iter().find(|name| table.column(name).is_none()) {
        return Err(Error::input("E012", format!("`{}` would have no column `{unknown}`", table.name)));
    }
    for column in table.columns.iter_mut().filter(|column| table.primary_key.contains(&column.name)) {
        column.nullable = false;
    }
    Ok(table)
}
