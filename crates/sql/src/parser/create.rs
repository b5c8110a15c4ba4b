//! `CREATE` of views, functions and indexes, and `DROP`.

use arrow::datatypes::DataType;
use fleuve_base::{Error, Place, Result};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::statement::{CreateFunction, CreateIndex, CreateView, Name, ObjectKind, Statement};
use super::{command, data_type, parse_expr_in_literal, table};
use crate::catalog::{FunctionDef, ViewDef};

/// Reads a CREATE statement.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.next_span().0;
    cursor.expect_words(&["CREATE"])?;
    let or_replace = cursor.accept_words(&["OR", "REPLACE"]);
    let temporary = cursor.accept_word("TEMPORARY");
    let system = temporary && cursor.accept_word("SYSTEM");
    if cursor.accept_word("VIEW") {
        return view(cursor, or_replace);
    }
    if cursor.accept_word("FUNCTION") {
        return function(cursor);
    }
    if !or_replace && !system && cursor.accept_word("TABLE") {
        return table::create_table(cursor, start);
    }
    if !or_replace && !temporary && cursor.accept_word("INDEX") {
        return index(cursor);
    }
    let refused = [
        &["UNIQUE", "INDEX"][..],
        &["CATALOG"],
        &["DATABASE"],
        &["MODEL"],
        &["MATERIALIZED", "TABLE"],
        &["CONNECTION"],
        &["TABLE"],
    ];
    match refused.into_iter().find(|words| cursor.at_words(words)) {
        Some(words) => {
            let what = if or_replace { format!("OR REPLACE {}", words.join(" ")) } else { words.join(" ") };
            Err(command::refuse(cursor, start, &format!("CREATE {what}")))
        }
        None => Err(cursor.expected_one_of(&["TABLE", "VIEW", "FUNCTION", "INDEX", "TEMPORARY"])),
    }
}

fn index(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = cursor.accept_words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.object_name("the index's name")?;
    cursor.expect_words(&["ON"])?;
    let table = cursor.object_name("the table's name")?;
    let columns = cursor.parenthesized(|cursor| cursor.name("a column's name"))?;
    Ok(Statement::CreateIndex(Box::new(CreateIndex { name, table, columns, if_not_exists })))
}

fn view(cursor: &mut Cursor<'_>, or_replace: bool) -> Result<Statement> {
    let if_not_exists = cursor.accept_words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.object_name("the view's name")?;
    let columns = match cursor.peek() {
        Token::LParen => Some(cursor.parenthesized(view_column)?),
        _ => None,
    };
    let comment = match cursor.accept_word("COMMENT") {
        true => Some(cursor.string("the comment in single quotes")?.value),
        false => None,
    };
    cursor.expect_words(&["AS"])?;
    let start = cursor.next_span().0;
    let query = cursor.query()?;
    let text = cursor.script().get(start..cursor.last_end()).unwrap_or_default().to_owned();
    let view = ViewDef { name: name.value, columns, query, text, comment };
    Ok(Statement::CreateView(Box::new(CreateView { view, or_replace, if_not_exists, name_span: name.span })))
}

fn view_column(cursor: &mut Cursor<'_>) -> Result<String> {
    let name = cursor.name("a column's name")?;
    if cursor.accept_word("COMMENT") {
        cursor.string("the comment in single quotes")?;
    }
    Ok(name.value)
}

fn function(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let if_not_exists = cursor.accept_words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.object_name("the function's name")?;
    if cursor.at_word("AS") {
        return Err(java_refused(cursor, &name));
    }
    let params = parameters(cursor)?;
    cursor.expect_words(&["RETURNS"])?;
    let returns = data_type::declared(cursor)?.data_type;
    if cursor.at_word("LANGUAGE") && !cursor.at_words(&["LANGUAGE", "SQL"]) {
        return Err(java_refused(cursor, &name));
    }
    cursor.expect_words(&["LANGUAGE", "SQL", "AS"])?;
    let body = cursor.string("the function's expression in single quotes")?;
    let expr = parse_expr_in_literal(&body.value, body.span)?;
    let function = FunctionDef { name: name.value, params, returns, body: expr, text: body.value };
    Ok(Statement::CreateFunction(Box::new(CreateFunction { function, if_not_exists, name_span: name.span })))
}

/// Reads `(name TYPE, …)`, which may be empty.
fn parameters(cursor: &mut Cursor<'_>) -> Result<Vec<(String, DataType)>> {
    if *cursor.peek() == Token::LParen && *cursor.peek_nth(1) == Token::RParen {
        cursor.advance();
        cursor.advance();
        return Ok(vec![]);
    }
    let mut params: Vec<(String, DataType)> = vec![];
    cursor.parenthesized(|cursor| {
        let name = cursor.name("a parameter's name")?;
        let declared = data_type::declared(cursor)?;
        if params.iter().any(|(other, _)| *other == name.value) {
            let error = Error::input("E016", format!("parameter `{}` is declared twice", name.value));
            return Err(error.at(Place::sql(name.span.0, name.span.1)));
        }
        params.push((name.value, declared.data_type));
        Ok(())
    })?;
    Ok(params)
}

fn java_refused(cursor: &Cursor<'_>, name: &Name) -> Error {
    let (start, end) = cursor.next_span();
    Error::unsupported("E202", "functions in Java, Scala or Python are not in this build")
        .with_hint(format!(
            "write it in SQL: CREATE FUNCTION {} (a STRING) RETURNS BIGINT LANGUAGE SQL AS 'CHAR_LENGTH(a)'",
            name.value
        ))
        .at(Place::sql(start, end))
}

/// Reads a DROP statement.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.next_span().0;
    cursor.expect_words(&["DROP"])?;
    if cursor.accept_word("TEMPORARY") {
        cursor.accept_word("SYSTEM");
    }
    const KINDS: [(&str, ObjectKind); 4] = [
        ("TABLE", ObjectKind::Table),
        ("VIEW", ObjectKind::View),
        ("FUNCTION", ObjectKind::Function),
        ("INDEX", ObjectKind::Index),
    ];
    if let Some(word) = ["CATALOG", "DATABASE", "MODEL"].into_iter().find(|word| cursor.at_word(word)) {
        return Err(command::refuse(cursor, start, &format!("DROP {word}")));
    }
    let kind = KINDS.into_iter().find(|(word, _)| cursor.accept_word(word));
    let (_, kind) = kind.ok_or_else(|| cursor.expected_one_of(&KINDS.map(|(word, _)| word)))?;
    let if_exists = cursor.accept_words(&["IF", "EXISTS"]);
    let name = cursor.object_name("a name")?;
    Ok(Statement::Drop { kind, name, if_exists })
}
