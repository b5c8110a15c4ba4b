//! Flink's dialect: from the text of a script to its statements.
//!
//! Queries and expressions are sqlparser's, read with a dialect of our own after a few rewrites of their tokens
//! and brought into one normal form afterwards; statements are parsed here. Every position is a byte of the whole script.

mod command;
mod create;
mod cursor;
mod data_type;
mod dialect;
mod normalize;
pub mod statement;
mod syntax_error;
mod table;
mod token;

#[cfg(test)]
mod tests;

use fleuve_base::{Error, Place, Result};
use sqlparser::ast::Expr;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use cursor::Cursor;
use dialect::FlinkDialect;
pub(crate) use normalize::text as expr_text;
pub use statement::{ByteSpan, InsertStatement, Name, ParsedStatement, Statement};
pub use token::{CHAIN_MAX, NESTING_MAX, TIME_UNITS, byte_range, place};

/// Parses a script: statements separated by `;`.
pub fn parse_script(script: &str) -> Result<Vec<ParsedStatement>> {
    let tokens = token::tokenize(script)?;
    let dialect = FlinkDialect::new(tokens.len());
    let mut cursor = Cursor::new(&dialect, script, tokens);
    let mut statements = vec![];
    loop {
        while cursor.accept(&Token::SemiColon) {}
        if *cursor.peek() == Token::EOF {
            return Ok(statements);
        }
        statements.push(parse_one(&mut cursor)?);
    }
}

fn parse_one(cursor: &mut Cursor<'_>) -> Result<ParsedStatement> {
    let start = cursor.next_span().0;
    let statement = command::statement(cursor)?;
    if !matches!(cursor.peek(), Token::SemiColon | Token::EOF) {
        return Err(cursor.expected_after_query("`;` or the end of the statement"));
    }
    let span = (start, cursor.last_end());
    Ok(ParsedStatement { statement, span, text: cursor.script()[span.0..span.1].to_owned() })
}

/// Parses the text of one statement again, so that nothing in it has a place: what is kept beyond its script must not
/// point into it.
pub(crate) fn parse_without_places(text: &str) -> Result<Statement> {
    let tokens = without_places(token::tokenize(text)?);
    let dialect = FlinkDialect::new(tokens.len());
    command::statement(&mut Cursor::new(&dialect, text, tokens))
}

fn without_places(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    tokens.iter_mut().for_each(|token| token.span = Span::empty());
    tokens
}

/// Parses an expression that stands in a string literal of the script (the body of a function). It has no places.
///
/// `text` is the literal's value and `literal` its place, quotes included; an error is placed at the characters in the
/// script, where a quote inside the literal is doubled.
fn parse_expr_in_literal(text: &str, literal: ByteSpan) -> Result<Expr> {
    let parse = |tokens: Vec<TokenWithSpan>| {
        let dialect = FlinkDialect::new(tokens.len());
        let mut cursor = Cursor::new(&dialect, text, tokens);
        let expr = cursor.expr()?;
        if *cursor.peek() == Token::EOF {
            Ok(expr)
        } else {
            Err(cursor.expected_after_query("the end of the expression"))
        }
    };
    let parsed = token::tokenize(text).and_then(|tokens| {
        parse(tokens.clone())?;
        parse(without_places(tokens))
    });
    let moved = |position: usize| literal.0 + 1 + position + text[..position].matches('\'').count();
    parsed.map_err(|error| match error.place() {
        Some(Place::Sql { start, end }) if literal.0 < literal.1 => {
            let place = Place::sql(moved(*start), moved(*end));
            move_to(&error, place)
        }
        _ => error,
    })
}

/// The same error at another place.
fn move_to(error: &Error, place: Place) -> Error {
    let moved = Error::new(error.kind(), error.code(), error.message()).at(place);
    let moved = error.detail().into_iter().fold(moved, Error::with_detail);
    error.hint().into_iter().fold(moved, Error::with_hint)
}
