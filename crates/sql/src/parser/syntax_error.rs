//! What a syntax error says: what was expected, what was found, and which keyword may have been meant.

use fleuve_base::{Error, Place, nearest};
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::statement::ByteSpan;
use super::token::byte_range;

/// Keywords that continue or end a query: a misspelt one is first taken for an alias, so that the token after it is
/// the one that sqlparser cannot read.
const CLAUSES: &[&str] = &[
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "FETCH",
    "JOIN",
    "INNER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "WINDOW",
];

/// Other keywords that a user may have meant.
const KEYWORDS: &[&str] = &[
    "SELECT",
    "WITH",
    "VALUES",
    "INSERT",
    "INTO",
    "CREATE",
    "DROP",
    "TABLE",
    "VIEW",
    "FUNCTION",
    "TEMPORARY",
    "EXPLAIN",
    "DESCRIBE",
    "SHOW",
    "RESET",
    "EXECUTE",
    "STATEMENT",
    "BEGIN",
    "END",
    "DISTINCT",
    "BY",
    "AS",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "BETWEEN",
    "INTERVAL",
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "MONTH",
    "YEAR",
    "WATERMARK",
    "PRIMARY",
    "KEY",
    "ENFORCED",
    "PARTITIONED",
    "LIKE",
    "METADATA",
    "VIRTUAL",
    "COMMENT",
    "RETURNS",
    "LANGUAGE",
    "EXISTS",
    "DESCRIPTOR",
    "LATERAL",
    "UNNEST",
    "SYSTEM_TIME",
    "FILTER",
    "OVER",
    "PARTITION",
    "NULL",
    "NOT",
    "OUTER",
    "FOR",
    "ON",
    "AND",
    "OR",
];

/// sqlparser's error in the words and places of ours. `index` is the first token that it has not read.
pub(super) fn from_parser(error: &ParserError, tokens: &[TokenWithSpan], index: usize, script: &str) -> Error {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            let (start, end) = token_place(tokens, index, script);
            return Error::input("E003", "the query is nested too deeply")
                .with_hint("name parts of it with WITH or CREATE VIEW")
                .at(Place::sql(start, end));
        }
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    let (message, position) = split_location(message);
    let parts = message.strip_prefix("Expected").and_then(|rest| rest.split_once(", found: "));
    let Some((what, found)) = parts else {
        let (start, end) = token_place(tokens, position.and_then(|at| index_at(tokens, at)).unwrap_or(index), script);
        return Error::input("E001", lower_first(message)).at(Place::sql(start, end));
    };
    let index = match found {
        "EOF" => tokens.len(),
        _ => find_before(tokens, position.and_then(|at| index_at(tokens, at)).unwrap_or(index), found),
    };
    expected_in_query(&quote_symbol(what.trim_start_matches(':').trim()), tokens, index, script)
}

/// The token that an error names: the one at `index`, where it says to be, or one just before it.
fn find_before(tokens: &[TokenWithSpan], index: usize, found: &str) -> usize {
    (index.saturating_sub(2)..=index)
        .rev()
        .find(|at| tokens.get(*at).is_some_and(|token| token.token.to_string() == found))
        .unwrap_or(index)
}

/// A symbol in backquotes; words stay as they are.
fn quote_symbol(what: &str) -> String {
    if what.chars().any(char::is_alphanumeric) { what.to_owned() } else { format!("`{what}`") }
}

/// The error of finding the token at `index` where `what` should be, in a query or after it.
pub(super) fn expected_in_query(what: &str, tokens: &[TokenWithSpan], index: usize, script: &str) -> Error {
    if let Some((index, meant)) = misspelt_clause(tokens, index) {
        let (start, end) = token_place(tokens, index, script);
        return Error::input("E001", format!("expected `{meant}`, found `{}`", &script[start..end]))
            .with_hint(format!("did you mean `{meant}`?"))
            .at(Place::sql(start, end));
    }
    expected(what, &[], tokens, index, script)
}

/// The error of finding the token at `index` where `what` should be; `words` are the keywords that it names.
pub(super) fn expected(what: &str, words: &[&str], tokens: &[TokenWithSpan], index: usize, script: &str) -> Error {
    let found = match token_place(tokens, index, script) {
        (start, end) if start == end => "the end of the script".to_owned(),
        (start, end) => format!("`{}`", excerpt(&script[start..end])),
    };
    with_hints(Error::input("E001", format!("expected {what}, found {found}")), words, tokens, index, script)
}

fn with_hints(error: Error, words: &[&str], tokens: &[TokenWithSpan], index: usize, script: &str) -> Error {
    let (start, end) = token_place(tokens, index, script);
    let error = error.at(Place::sql(start, end));
    let Some(found) = tokens.get(index).and_then(unquoted) else { return error };
    if let Some(hint) = clause_hint(found, tokens, index) {
        return error.with_hint(hint);
    }
    let known = |list: &[&str]| list.iter().any(|word| word.eq_ignore_ascii_case(found));
    if known(words) || known(CLAUSES) || known(KEYWORDS) {
        let after_comma = index.checked_sub(1).is_some_and(|before| tokens[before].token == Token::Comma);
        return match (after_comma, is_reserved_as_name(found)) {
            (true, _) => error.with_hint(format!("is the comma before `{found}` one too many?")),
            (false, true) => error.with_hint(format!("if `{found}` is a name here, put it into backquotes")),
            (false, false) => error,
        };
    }
    let near = match words {
        [] => nearest(found, CLAUSES.iter().chain(KEYWORDS).copied()),
        _ => nearest(found, words.iter().copied()),
    };
    near.into_iter().fold(error, |error, near| error.with_hint(format!("did you mean `{near}`?")))
}

/// The hint for a clause that is not complete: `GROUP id`, `SELECT FROM t`.
fn clause_hint(found: &str, tokens: &[TokenWithSpan], index: usize) -> Option<String> {
    let is = |at: usize, word: &str| tokens.get(at).and_then(unquoted).is_some_and(|t| t.eq_ignore_ascii_case(word));
    let before = index.checked_sub(1)?;
    if ["GROUP", "ORDER", "PARTITION"].iter().any(|word| is(index, word)) && !is(index + 1, "BY") {
        return Some(format!("write {} BY", found.to_uppercase()));
    }
    (is(index, "FROM") && is(before, "SELECT")).then(|| "name columns before FROM, or * for all of them".to_owned())
}

/// Keywords that users often take for column names.
fn is_reserved_as_name(word: &str) -> bool {
    ["END", "ORDER", "GROUP", "KEY", "OFFSET", "LIMIT", "FROM", "TABLE", "INTERVAL", "CASE", "EXISTS", "LEFT", "RIGHT"]
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// A word before `index` that stands where an alias may, but is one slip away from a clause's keyword.
fn misspelt_clause(tokens: &[TokenWithSpan], index: usize) -> Option<(usize, &'static str)> {
    let before = index.checked_sub(1)?;
    let word = unquoted(tokens.get(before)?)?;
    let may_be_alias = matches!(
        &tokens.get(before.checked_sub(1)?)?.token,
        Token::Word(_)
            | Token::RParen
            | Token::RBracket
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Mul
    );
    let is_keyword = |word: &str| CLAUSES.iter().chain(KEYWORDS).any(|keyword| keyword.eq_ignore_ascii_case(word));
    // Behind a keyword stands the name itself, not its alias.
    let names = unquoted(tokens.get(before.checked_sub(1)?)?).is_some_and(is_keyword);
    if !may_be_alias || names || is_keyword(word) || word.chars().count() < 3 {
        return None;
    }
    let near = nearest(word, CLAUSES.iter().copied())?;
    Some((before, near))
}

fn unquoted(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// Place of the token at `index`, or the place after the last one.
fn token_place(tokens: &[TokenWithSpan], index: usize, script: &str) -> ByteSpan {
    let end = tokens.last().and_then(|token| byte_range(token.span)).map_or(script.len(), |(_, end)| end);
    tokens.get(index).and_then(|token| byte_range(token.span)).unwrap_or((end, end))
}

fn index_at(tokens: &[TokenWithSpan], position: usize) -> Option<usize> {
    tokens.iter().position(|token| byte_range(token.span).is_some_and(|(start, _)| start == position))
}

/// Splits ` at Line: 1, Column: n` off: with spans in bytes the column is the position plus one.
fn split_location(message: &str) -> (&str, Option<usize>) {
    let Some((text, location)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let column = location.split_once("Column: ").and_then(|(_, column)| column.trim().parse::<usize>().ok());
    (text, column.and_then(|column| column.checked_sub(1)))
}

/// A sentence as part of another one: without a capital letter, unless its first word is all capitals.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.as_str().chars().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(chars).collect(),
        _ => text.to_owned(),
    }
}

/// Characters of the script that a message quotes at most.
const EXCERPT_CHARS_MAX: usize = 40;

fn excerpt(text: &str) -> String {
    let line = text.lines().next().unwrap_or("");
    match line.char_indices().nth(EXCERPT_CHARS_MAX) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.to_owned(),
    }
}
