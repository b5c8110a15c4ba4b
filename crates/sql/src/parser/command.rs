//! All statements but CREATE and DROP: INSERT, statement sets, queries, EXPLAIN, SET, SHOW, DESCRIBE.

use fleuve_base::{Error, Result};
use fleuve_plan::Control;
use sqlparser::tokenizer::Token;

use super::create;
use super::cursor::Cursor;
use super::statement::{Explain, InsertStatement, Name, Show, Statement};

/// Words that a statement begins with.
const STATEMENTS: &[&str] = &[
    "SELECT", "WITH", "VALUES", "INSERT", "CREATE", "DROP", "SET", "RESET", "SHOW", "DESCRIBE", "DESC", "EXPLAIN",
    "EXECUTE", "BEGIN",
];

/// Statements of Flink's that this build has no use for or does not run yet.
const REFUSED: &[&str] = &[
    "USE", "ALTER", "UPDATE", "DELETE", "TRUNCATE", "MERGE", "ANALYZE", "LOAD", "UNLOAD", "ADD", "REMOVE", "CALL",
    "COMPILE", "STOP", "QUIT", "EXIT", "CLEAR", "HELP",
];

/// Statements in one statement set.
const INSERTS_MAX: usize = 1_000;

/// Reads one statement, up to its `;`.
pub(super) fn statement(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let word = match cursor.peek() {
        Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
        Token::LParen => return cursor.query().map(Statement::Query),
        _ => return Err(cursor.expected("a statement")),
    };
    match word.as_str() {
        "SELECT" if at_online(cursor) => online(cursor),
        "SELECT" | "WITH" | "VALUES" => cursor.query().map(Statement::Query),
        "STOP" if cursor.at_words(&["STOP", "GROUP"]) => stop_group(cursor),
        "CREATE" => create::create(cursor),
        "DROP" => create::drop(cursor),
        "INSERT" => Ok(Statement::Insert(vec![insert(cursor)?])),
        "EXECUTE" | "BEGIN" => execute(cursor),
        "EXPLAIN" => explain(cursor),
        "SET" => set(cursor),
        "RESET" => reset(cursor),
        "SHOW" => show(cursor),
        "DESCRIBE" | "DESC" => describe(cursor),
        _ if REFUSED.contains(&word.as_str()) => Err(refuse(cursor, cursor.next_span().0, &word)),
        _ => {
            let (start, end) = cursor.next_span();
            let error = cursor.expected_one_of(STATEMENTS);
            let found = cursor.script().get(start..end).unwrap_or(&word);
            let short = Error::input("E001", format!("expected a statement, found `{found}`"));
            let short = error.place().cloned().into_iter().fold(short, Error::at);
            Err(error.hint().into_iter().fold(short, Error::with_hint))
        }
    }
}

/// Words that may follow a column which happens to be called `online`.
const AFTER_COLUMN: &[&str] = &["FROM", "AS", "IS", "IN", "NOT", "BETWEEN", "LIKE", "AND", "OR", "UNION", "WHERE"];

/// Whether `SELECT ONLINE` comes, rather than a column of that name.
fn at_online(cursor: &Cursor<'_>) -> bool {
    cursor.at_words(&["SELECT", "ONLINE"])
        && matches!(cursor.peek_nth(2), Token::Word(_))
        && !AFTER_COLUMN.iter().any(|word| super::token::is_word(cursor.peek_nth(2), word))
}

/// Reads `SELECT ONLINE …`.
fn online(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.skip_select();
    cursor.query().map(Statement::Online)
}

/// Reads `STOP GROUP group`.
fn stop_group(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["STOP", "GROUP"])?;
    Ok(Statement::Control(Control::StopGroup { group: group(cursor)? }))
}

/// Reads `RATE OF group = rate`.
fn rate(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["RATE", "OF"])?;
    let group = group(cursor)?;
    cursor.expect(&Token::Eq)?;
    let value = setting_value(cursor)?;
    let rate = value.value.trim().parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate >= 0.0);
    match rate {
        Some(rate) => Ok(Statement::Control(Control::SetRate { group, rate })),
        None => {
            Err(Error::input("E019", format!("a group's rate is a number from 0 on, not `{}`", value.value.trim()))
                .at(fleuve_base::Place::sql(value.span.0, value.span.1)))
        }
    }
}

/// Reads a group's key: a constant, or several in parentheses.
fn group(cursor: &mut Cursor<'_>) -> Result<Vec<Option<String>>> {
    match cursor.peek() {
        Token::LParen => cursor.parenthesized(constant),
        _ => Ok(vec![constant(cursor)?]),
    }
}

/// Reads a constant as its text.
fn constant(cursor: &mut Cursor<'_>) -> Result<Option<String>> {
    let minus = cursor.accept(&Token::Minus);
    let text = match cursor.peek() {
        Token::Number(digits, _) => Some(format!("{}{digits}", if minus { "-" } else { "" })),
        Token::SingleQuotedString(text) if !minus => Some(text.clone()),
        Token::Word(_) if !minus && cursor.at_word("NULL") => None,
        Token::Word(word) if !minus && ["TRUE", "FALSE"].iter().any(|known| cursor.at_word(known)) => {
            Some(word.value.to_lowercase())
        }
        _ => return Err(cursor.expected("a group's key in single quotes")),
    };
    cursor.advance();
    Ok(text)
}

/// The refusal of a statement by its name.
pub(super) fn refuse(cursor: &Cursor<'_>, start: usize, what: &str) -> Error {
    let error = Error::unsupported("E203", format!("{what} is not in this build"));
    let error = match what.split(' ').next_back() {
        Some("CATALOG" | "DATABASE" | "USE" | "CATALOGS" | "DATABASES") => {
            error.with_hint("a session has one catalog and one database; tables need no USE")
        }
        Some("ALTER") => {
            error.with_hint("DROP the table and CREATE it again: only its declaration is dropped, not its data")
        }
        Some("UPDATE" | "DELETE" | "MERGE" | "TRUNCATE") => error
            .with_hint("a stream is changed by writing to it: INSERT INTO a table with a PRIMARY KEY replaces rows"),
        _ => error,
    };
    let (_, end) = cursor.next_span();
    error.at(fleuve_base::Place::sql(start, end))
}

/// Reads `INSERT INTO t [(columns)] query`.
fn insert(cursor: &mut Cursor<'_>) -> Result<InsertStatement> {
    let start = cursor.next_span().0;
    cursor.expect_words(&["INSERT"])?;
    if cursor.at_word("OVERWRITE") {
        let error = refuse(cursor, start, "INSERT OVERWRITE");
        return Err(error.with_hint("a stream only adds to its sink: use INSERT INTO"));
    }
    cursor.expect_words(&["INTO"])?;
    let table = cursor.object_name("the table's name")?;
    if cursor.at_word("PARTITION") {
        return Err(refuse(cursor, cursor.next_span().0, "INSERT INTO … PARTITION (…)")
            .with_hint("select the partition's columns like any others"));
    }
    let columns =
        if is_column_list(cursor) { cursor.parenthesized(|cursor| cursor.name("a column's name"))? } else { vec![] };
    let query =
        match ["SELECT", "WITH", "VALUES"].iter().any(|word| cursor.at_word(word)) || *cursor.peek() == Token::LParen {
            true => cursor.query()?,
            false => return Err(cursor.expected_one_of(&["SELECT", "WITH", "VALUES", "("])),
        };
    Ok(InsertStatement { table, columns, query, span: (start, cursor.last_end()) })
}

/// Whether a parenthesis opens a list of columns rather than a query.
fn is_column_list(cursor: &Cursor<'_>) -> bool {
    let begins_query = |token: &Token| {
        *token == Token::LParen || ["SELECT", "WITH", "VALUES"].iter().any(|word| super::token::is_word(token, word))
    };
    *cursor.peek() == Token::LParen && !begins_query(cursor.peek_nth(1))
}

/// Reads `EXECUTE STATEMENT SET BEGIN …; END`, `BEGIN STATEMENT SET; …; END` or `EXECUTE` of one statement.
fn execute(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.next_span().0;
    if cursor.accept_words(&["BEGIN", "STATEMENT", "SET"]) {
        cursor.expect(&Token::SemiColon)?;
        return inserts_until_end(cursor, start);
    }
    if cursor.at_word("BEGIN") {
        cursor.advance();
        return Err(cursor.expected_one_of(&["STATEMENT SET"]));
    }
    cursor.expect_words(&["EXECUTE"])?;
    if cursor.at_word("PLAN") {
        return Err(refuse(cursor, start, "EXECUTE PLAN"));
    }
    if cursor.accept_words(&["STATEMENT", "SET"]) {
        return statement_set(cursor, start);
    }
    if cursor.at_word("INSERT") || cursor.at_word("SELECT") {
        return statement(cursor);
    }
    Err(cursor.expected_one_of(&["STATEMENT SET", "INSERT", "SELECT"]))
}

/// Reads `BEGIN …; END` after STATEMENT SET.
fn statement_set(cursor: &mut Cursor<'_>, start: usize) -> Result<Statement> {
    cursor.expect_words(&["BEGIN"])?;
    inserts_until_end(cursor, start)
}

fn inserts_until_end(cursor: &mut Cursor<'_>, start: usize) -> Result<Statement> {
    let mut inserts = vec![];
    while !cursor.accept_word("END") {
        if !cursor.at_word("INSERT") {
            return Err(cursor.expected_one_of(&["INSERT", "END"]));
        }
        inserts.push(insert(cursor)?);
        if *cursor.peek() != Token::SemiColon {
            return Err(cursor.expected_after_query("`;` after the INSERT"));
        }
        while cursor.accept(&Token::SemiColon) {}
    }
    match inserts.len() {
        0 => Err(cursor.since(start, Error::input("E022", "the statement set is empty"))),
        1..=INSERTS_MAX => Ok(Statement::Insert(inserts)),
        _ => {
            Err(cursor
                .since(start, Error::input("E003", format!("a statement set has at most {INSERTS_MAX} statements"))))
        }
    }
}

/// Reads `EXPLAIN [details] [PLAN FOR] statement`.
fn explain(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.next_span().0;
    cursor.expect_words(&["EXPLAIN"])?;
    let (mut cost, mut changelog, mut json) = (false, false, false);
    loop {
        if cursor.accept_word("ESTIMATED_COST") {
            cost = true;
        } else if cursor.accept_word("CHANGELOG_MODE") {
            changelog = true;
        } else if cursor.accept_word("JSON_EXECUTION_PLAN") {
            json = true;
        } else if !cursor.accept_word("PLAN_ADVICE") {
            break;
        }
        cursor.accept(&Token::Comma);
    }
    cursor.accept_words(&["PLAN", "FOR"]);
    let set_start = cursor.next_span().0;
    let explained = if cursor.accept_words(&["STATEMENT", "SET"]) {
        statement_set(cursor, set_start)?
    } else if ["SELECT", "WITH", "VALUES", "INSERT", "EXECUTE"].iter().any(|word| cursor.at_word(word))
        || cursor.at_words(&["CREATE", "INDEX"])
        || *cursor.peek() == Token::LParen
    {
        statement(cursor)?
    } else {
        return Err(cursor.expected_one_of(&["SELECT", "WITH", "VALUES", "INSERT", "STATEMENT SET", "PLAN FOR"]));
    };
    match explained {
        Statement::Insert(_) | Statement::Query(_) | Statement::Online(_) | Statement::CreateIndex(_) => {
            Ok(Statement::Explain(Box::new(Explain { statement: explained, cost, changelog, json })))
        }
        _ => Err(cursor.since(start, Error::input("E001", "only queries and INSERTs can be explained"))),
    }
}

/// Reads `SET`, `SET 'key' = 'value'` or `SET key = value`.
fn set(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["SET"])?;
    if cursor.at_words(&["RATE", "OF"]) {
        return rate(cursor);
    }
    if matches!(cursor.peek(), Token::SemiColon | Token::EOF) {
        return Ok(Statement::Show(Show::Settings));
    }
    let key = setting_key(cursor)?;
    cursor.expect(&Token::Eq)?;
    let value = setting_value(cursor)?;
    Ok(Statement::Set { key, value })
}

/// A key in quotes, or bare as `table.local-time-zone`.
fn setting_key(cursor: &mut Cursor<'_>) -> Result<Name> {
    if matches!(cursor.peek(), Token::SingleQuotedString(_)) {
        return cursor.string("a setting's name");
    }
    let first = cursor.name("a setting's name in single quotes")?;
    while matches!(cursor.peek(), Token::Period | Token::Minus | Token::Word(_)) {
        cursor.advance();
    }
    let span = (first.span.0, cursor.last_end());
    let value = cursor.script().get(span.0..span.1).unwrap_or_default().to_owned();
    Ok(Name { value, span })
}

/// A value in quotes, or bare up to the `;`.
fn setting_value(cursor: &mut Cursor<'_>) -> Result<Name> {
    if matches!(cursor.peek(), Token::SingleQuotedString(_)) {
        return cursor.string("a value");
    }
    let start = cursor.next_span().0;
    if matches!(cursor.peek(), Token::SemiColon | Token::EOF) {
        return Err(cursor.expected("a value in single quotes"));
    }
    while !matches!(cursor.peek(), Token::SemiColon | Token::EOF) {
        cursor.advance();
    }
    let span = (start, cursor.last_end());
    Ok(Name { value: cursor.script().get(span.0..span.1).unwrap_or_default().to_owned(), span })
}

fn reset(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["RESET"])?;
    match cursor.peek() {
        Token::SemiColon | Token::EOF => Ok(Statement::Reset(None)),
        _ => Ok(Statement::Reset(Some(setting_key(cursor)?))),
    }
}

fn show(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.next_span().0;
    cursor.expect_words(&["SHOW"])?;
    if cursor.accept_word("TABLES") {
        return Ok(Statement::Show(Show::Tables));
    }
    if cursor.accept_word("VIEWS") {
        return Ok(Statement::Show(Show::Views));
    }
    if cursor.accept_words(&["FUNCTIONS"]) || cursor.accept_words(&["USER", "FUNCTIONS"]) {
        return Ok(Statement::Show(Show::Functions));
    }
    if cursor.accept_word("INDEXES") {
        return Ok(Statement::Show(Show::Indexes));
    }
    if cursor.accept_words(&["CREATE", "TABLE"]) {
        return Ok(Statement::Show(Show::CreateTable(cursor.object_name("a table's name")?)));
    }
    if cursor.accept_words(&["CREATE", "VIEW"]) {
        return Ok(Statement::Show(Show::CreateView(cursor.object_name("a view's name")?)));
    }
    if cursor.accept_words(&["COLUMNS", "FROM"]) || cursor.accept_words(&["COLUMNS", "IN"]) {
        return Ok(Statement::Show(Show::Columns(cursor.object_name("a table's name")?)));
    }
    let refused =
        ["CATALOGS", "DATABASES", "MODULES", "JARS", "JOBS", "MODELS", "PARTITIONS", "PROCEDURES", "CURRENT", "FULL"];
    match refused.into_iter().find(|word| cursor.at_word(word)) {
        Some(word) => Err(refuse(cursor, start, &format!("SHOW {word}"))),
        None => Err(cursor.expected_one_of(&[
            "TABLES",
            "VIEWS",
            "FUNCTIONS",
            "INDEXES",
            "CREATE TABLE",
            "CREATE VIEW",
            "COLUMNS FROM",
        ])),
    }
}

fn describe(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.advance();
    cursor.accept_word("EXTENDED");
    Ok(Statement::Show(Show::Columns(cursor.object_name("a table's or view's name")?)))
}
