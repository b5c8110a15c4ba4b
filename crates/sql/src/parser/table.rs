//! `CREATE TABLE`.

use std::collections::BTreeMap;

use fleuve_base::{Error, Place, Result};
use fleuve_plan::TableOptions;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::data_type;
use super::statement::{CreateTable, Like, LikeFeature, LikeMode, Name, Statement};
use crate::catalog::{ColumnDef, ColumnKind, TableDef, WatermarkDef};

/// Columns of one table.
pub const COLUMNS_MAX: usize = 4_096;

/// Reads what follows `CREATE [TEMPORARY] TABLE`; `start` is the position of CREATE.
pub(super) fn create_table(cursor: &mut Cursor<'_>, start: usize) -> Result<Statement> {
    let if_not_exists = cursor.accept_words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.object_name("the table's name")?;
    let mut body = Body::default();
    if *cursor.peek() == Token::LParen {
        cursor.parenthesized(|cursor| body.element(cursor))?;
    }
    let comment = accept_comment(cursor)?;
    refuse_distribution(cursor)?;
    let partitioned_by = match cursor.accept_words(&["PARTITIONED", "BY"]) {
        true => cursor.parenthesized(|cursor| cursor.name("a column's name"))?,
        false => vec![],
    };
    let options = if cursor.accept_word("WITH") { options(cursor)? } else { TableOptions::default() };
    let like = if cursor.accept_word("LIKE") { Some(like(cursor)?) } else { None };
    refuse_as_select(cursor)?;
    if *cursor.peek() != Token::SemiColon && *cursor.peek() != Token::EOF {
        return Err(cursor.expected_one_of(&["COMMENT", "PARTITIONED BY", "WITH", "LIKE", ";"]));
    }
    let parts = Parts { name: &name, body, partitioned_by, has_like: like.is_some() };
    let table = TableDef { options, comment, span: (start, cursor.last_end()), ..parts.table()? };
    Ok(Statement::CreateTable(Box::new(CreateTable { table, like, if_not_exists, name_span: name.span })))
}

fn accept_comment(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    match cursor.accept_word("COMMENT") {
        true => Ok(Some(cursor.string("the comment in single quotes")?.value)),
        false => Ok(None),
    }
}

fn refuse_distribution(cursor: &Cursor<'_>) -> Result<()> {
    if !cursor.at_word("DISTRIBUTED") {
        return Ok(());
    }
    let (start, end) = cursor.next_span();
    Err(Error::unsupported("E201", "DISTRIBUTED BY is not in this build")
        .with_hint("a topic's partitions are set by the option 'topic.partitions'; files by PARTITIONED BY")
        .at(Place::sql(start, end)))
}

fn refuse_as_select(cursor: &Cursor<'_>) -> Result<()> {
    if !cursor.at_word("AS") {
        return Ok(());
    }
    let (start, end) = cursor.next_span();
    Err(Error::unsupported("E203", "CREATE TABLE … AS SELECT is not in this build")
        .with_hint("declare the table's columns, then INSERT INTO it")
        .at(Place::sql(start, end)))
}

/// What stands between the parentheses.
#[derive(Default)]
struct Body {
    columns: Vec<(ColumnDef, Name)>,
    watermark: Option<(Name, sqlparser::ast::Expr)>,
    primary_key: Option<Vec<Name>>,
}

impl Body {
    fn element(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        if cursor.at_words(&["WATERMARK", "FOR"]) {
            return self.watermark(cursor);
        }
        if cursor.at_words(&["PRIMARY", "KEY"]) || cursor.at_word("CONSTRAINT") {
            return self.constraint(cursor);
        }
        if cursor.at_words(&["PERIOD", "FOR", "SYSTEM_TIME"]) || cursor.at_words(&["UNIQUE"]) {
            return Err(cursor.expected("a column, WATERMARK FOR or PRIMARY KEY"));
        }
        self.column(cursor)
    }

    fn watermark(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let start = cursor.next_span().0;
        cursor.expect_words(&["WATERMARK", "FOR"])?;
        let column = cursor.name("the time column's name")?;
        cursor.expect_words(&["AS"])?;
        let expr = cursor.expr()?;
        match self.watermark.replace((column, expr)) {
            None => Ok(()),
            Some(_) => Err(cursor.since(start, Error::input("E016", "a table has one WATERMARK only"))),
        }
    }

    fn constraint(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let start = cursor.next_span().0;
        if cursor.accept_word("CONSTRAINT") {
            cursor.name("the constraint's name")?;
        }
        cursor.expect_words(&["PRIMARY", "KEY"])?;
        let key = cursor.parenthesized(|cursor| cursor.name("a column's name"))?;
        self.set_primary_key(cursor, start, key)
    }

    fn set_primary_key(&mut self, cursor: &mut Cursor<'_>, start: usize, key: Vec<Name>) -> Result<()> {
        if !cursor.accept_words(&["NOT", "ENFORCED"]) {
            let error = Error::input("E016", "a PRIMARY KEY must be declared NOT ENFORCED");
            let error = error.with_hint("write PRIMARY KEY (…) NOT ENFORCED: the key is trusted, not checked");
            return Err(cursor.since(start, error));
        }
        match self.primary_key.replace(key) {
            None => Ok(()),
            Some(_) => Err(cursor.since(start, Error::input("E016", "a table has one PRIMARY KEY only"))),
        }
    }

    fn column(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let name = cursor.name("a column, WATERMARK FOR or PRIMARY KEY")?;
        if self.columns.len() >= COLUMNS_MAX {
            let error = Error::input("E003", format!("a table has at most {COLUMNS_MAX} columns"));
            return Err(cursor.since(name.span.0, error));
        }
        let mut column = if cursor.accept_word("AS") {
            let kind = ColumnKind::Computed(Box::new(cursor.expr()?));
            ColumnDef { name: name.value.clone(), data_type: None, nullable: true, kind, comment: None }
        } else {
            self.typed_column(cursor, &name)?
        };
        column.comment = accept_comment(cursor)?;
        self.columns.push((column, name));
        Ok(())
    }

    fn typed_column(&mut self, cursor: &mut Cursor<'_>, name: &Name) -> Result<ColumnDef> {
        let declared = data_type::declared(cursor)?;
        let kind = if cursor.accept_word("METADATA") { metadata(cursor, name)? } else { ColumnKind::Physical };
        let key_start = cursor.next_span().0;
        if cursor.accept_words(&["PRIMARY", "KEY"]) {
            self.set_primary_key(cursor, key_start, vec![name.clone()])?;
        }
        Ok(ColumnDef {
            name: name.value.clone(),
            data_type: Some(declared.data_type),
            nullable: declared.nullable,
            kind,
            comment: None,
        })
    }
}

/// Reads what follows METADATA.
fn metadata(cursor: &mut Cursor<'_>, name: &Name) -> Result<ColumnKind> {
    let key = match cursor.accept_word("FROM") {
        true => cursor.string("the metadata key in single quotes")?.value,
        false => name.value.clone(),
    };
    Ok(ColumnKind::Metadata { key, virtual_: cursor.accept_word("VIRTUAL") })
}

/// The parts of a table, to be checked against each other.
struct Parts<'n> {
    name: &'n Name,
    body: Body,
    partitioned_by: Vec<Name>,
    has_like: bool,
}

impl Parts<'_> {
    fn table(self) -> Result<TableDef> {
        self.check_columns()?;
        let Parts { name, body, partitioned_by, has_like } = self;
        let mut columns: Vec<ColumnDef> = body.columns.into_iter().map(|(column, _)| column).collect();
        let key = body.primary_key.unwrap_or_default();
        let known = |name: &Name| has_like || columns.iter().any(|column| column.name == name.value);
        let watermark = body.watermark.iter().map(|(column, _)| column);
        if let Some(unknown) = key.iter().chain(&partitioned_by).chain(watermark).find(|name| !known(name)) {
            return Err(unknown_column(unknown, &columns));
        }
        for column in columns.iter_mut().filter(|column| key.iter().any(|name| name.value == column.name)) {
            column.nullable = false;
        }
        Ok(TableDef {
            name: name.value.clone(),
            columns,
            watermark: body.watermark.map(|(column, expr)| WatermarkDef { column: column.value, expr }),
            primary_key: key.into_iter().map(|name| name.value).collect(),
            partitioned_by: partitioned_by.into_iter().map(|name| name.value).collect(),
            options: TableOptions::default(),
            comment: None,
            span: name.span,
        })
    }

    fn check_columns(&self) -> Result<()> {
        let columns = &self.body.columns;
        if columns.is_empty() && !self.has_like {
            let (start, end) = self.name.span;
            return Err(Error::input("E016", format!("table `{}` has no columns", self.name.value))
                .with_hint("declare them: CREATE TABLE t (id BIGINT, …)")
                .at(Place::sql(start, end)));
        }
        for (index, (column, name)) in columns.iter().enumerate() {
            if columns[..index].iter().any(|(other, _)| other.name == column.name) {
                let error = Error::input("E016", format!("column `{}` is declared twice", column.name));
                return Err(error.at(Place::sql(name.span.0, name.span.1)));
            }
        }
        let computed = |key: &&Name| {
            columns.iter().any(|(column, _)| column.name == key.value && column.kind != ColumnKind::Physical)
        };
        match self.body.primary_key.iter().flatten().find(computed) {
            None => Ok(()),
            Some(key) => Err(Error::input("E016", format!("`{}` is not stored, so it cannot be a key", key.value))
                .at(Place::sql(key.span.0, key.span.1))),
        }
    }
}

fn unknown_column(name: &Name, columns: &[ColumnDef]) -> Error {
    let names = || columns.iter().map(|column| column.name.as_str());
    let error = Error::input("E012", format!("unknown column `{}`", name.value))
        .with_detail(format!("columns declared here: {}", names().collect::<Vec<_>>().join(", ")))
        .at(Place::sql(name.span.0, name.span.1));
    let near = fleuve_base::nearest(&name.value, names());
    near.into_iter().fold(error, |error, near| error.with_hint(format!("did you mean `{near}`?")))
}

/// Reads `('key' = 'value', …)`. Keys become lower case.
fn options(cursor: &mut Cursor<'_>) -> Result<TableOptions> {
    let mut map = BTreeMap::new();
    if *cursor.peek() == Token::LParen && *cursor.peek_nth(1) == Token::RParen {
        cursor.advance();
        cursor.advance();
        return Ok(TableOptions(map));
    }
    cursor.parenthesized(|cursor| {
        let key = cursor.string("an option's name in single quotes")?;
        cursor.expect(&Token::Eq)?;
        let value = cursor.string("the option's value in single quotes")?;
        match map.insert(modern(key.value.to_lowercase()), value.value) {
            None => Ok(()),
            Some(_) => Err(Error::input("E017", format!("option '{}' is given twice", key.value))
                .at(Place::sql(key.span.0, key.span.1))),
        }
    })?;
    Ok(TableOptions(map))
}

/// The names that Flink's options had before 1.11, which scripts of that age still use.
fn modern(key: String) -> String {
    const LEGACY: [(&str, &str); 4] = [
        ("connector.type", "connector"),
        ("connector.path", "path"),
        ("connector.topic", "topic"),
        ("format.type", "format"),
    ];
    LEGACY.iter().find(|(old, _)| key == *old).map_or(key, |(_, new)| (*new).to_owned())
}

/// Reads what follows LIKE.
fn like(cursor: &mut Cursor<'_>) -> Result<Like> {
    let table = cursor.object_name("a table's name")?;
    let mut features = vec![];
    if cursor.accept(&Token::LParen) {
        while !cursor.accept(&Token::RParen) {
            features.push(like_feature(cursor)?);
            cursor.accept(&Token::Comma);
        }
    }
    Ok(Like { table, features })
}

fn like_feature(cursor: &mut Cursor<'_>) -> Result<(LikeFeature, LikeMode)> {
    const MODES: [(&str, LikeMode); 3] = [
        ("INCLUDING", LikeMode::Including),
        ("EXCLUDING", LikeMode::Excluding),
        ("OVERWRITING", LikeMode::Overwriting),
    ];
    const FEATURES: [(&str, LikeFeature); 7] = [
        ("ALL", LikeFeature::All),
        ("CONSTRAINTS", LikeFeature::Constraints),
        ("PARTITIONS", LikeFeature::Partitions),
        ("GENERATED", LikeFeature::Generated),
        ("METADATA", LikeFeature::Metadata),
        ("OPTIONS", LikeFeature::Options),
        ("WATERMARKS", LikeFeature::Watermarks),
    ];
    let mode = MODES.into_iter().find(|(word, _)| cursor.accept_word(word));
    let (_, mode) = mode.ok_or_else(|| cursor.expected_one_of(&MODES.map(|(word, _)| word)))?;
    let feature = FEATURES.into_iter().find(|(word, _)| cursor.accept_word(word));
    let (_, feature) = feature.ok_or_else(|| cursor.expected_one_of(&FEATURES.map(|(word, _)| word)))?;
    Ok((feature, mode))
}
