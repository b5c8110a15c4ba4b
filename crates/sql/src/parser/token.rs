//! The script as tokens whose spans are byte positions, and the rewrites that let sqlparser read Flink's dialect.
//!
//! sqlparser places tokens by line and column (in characters). Here each [`Span`] is rewritten to line 1 and
//! column = byte position + 1, so that every span of the syntax tree is a byte range of the script and no later code
//! ever counts lines.

use fleuve_base::limits::SCRIPT_BYTES_MAX;
use fleuve_base::{Error, Place, Result};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, TokenizerError, Whitespace};

use super::dialect::FlinkDialect;
use super::statement::ByteSpan;

/// Open parentheses at one place.
pub const NESTING_MAX: usize = 32;

/// Operators (and set operations) that one place of the syntax tree may lie below: `a + b + c` counts two.
pub const CHAIN_MAX: usize = 500;

/// The byte positions of a span of the syntax tree; none if it has no place.
pub fn byte_range(span: Span) -> Option<ByteSpan> {
    let position = |location: Location| usize::try_from(location.column.checked_sub(1)?).ok();
    if span.start.line == 0 {
        return None;
    }
    Some((position(span.start)?, position(span.end)?))
}

/// The place of a span of the syntax tree, for [`Error::at`]; none if it has no place.
pub fn place(span: Span) -> Option<Place> {
    byte_range(span).map(|(start, end)| Place::sql(start, end))
}

/// The span that stands for these byte positions.
pub(super) fn span_of((start, end): ByteSpan) -> Span {
    let location = |position: usize| Location::new(1, position as u64 + 1);
    Span::new(location(start), location(end))
}

/// Tokens of a script without white space, rewritten for sqlparser, checked for nesting.
pub(super) fn tokenize(script: &str) -> Result<Vec<TokenWithSpan>> {
    if script.len() > SCRIPT_BYTES_MAX {
        return Err(Error::input("E003", format!("the script is longer than {SCRIPT_BYTES_MAX} bytes")));
    }
    let mut tokens = vec![];
    let dialect = FlinkDialect::new(0);
    let outcome = Tokenizer::new(&dialect, script).tokenize_with_location_into_buf(&mut tokens);
    let end = place_by_bytes(script, &mut tokens);
    outcome.map_err(|error| unfinished_token(script, end, &error))?;
    tokens.iter().try_for_each(check_token)?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    check_depth(&tokens)?;
    Ok(rewrite(tokens))
}

/// Rewrites spans to bytes. Tokens cover the script without gaps, so one walk over its characters places them all.
/// Returns the position after the last token.
fn place_by_bytes(script: &str, tokens: &mut [TokenWithSpan]) -> usize {
    let mut walk = Walk { script, position: 0, line: 1, column: 1 };
    for token in tokens {
        let start = walk.position;
        walk.advance_to(token.span.end);
        token.span = span_of((start, walk.position));
    }
    walk.position
}

/// A walk over a script that knows both kinds of position.
struct Walk<'a> {
    script: &'a str,
    position: usize,
    line: u64,
    column: u64,
}

impl Walk<'_> {
    fn advance_to(&mut self, to: Location) {
        for c in self.script[self.position..].chars() {
            if (self.line, self.column) >= (to.line, to.column) {
                break;
            }
            self.position += c.len_utf8();
            (self.line, self.column) = if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
    }
}

/// The error for a literal, a name or a comment without an end. The tokenizer stops at the end of the script; what is
/// worth showing is where the unfinished token begins, which is after the last good one.
fn unfinished_token(script: &str, start: usize, error: &TokenizerError) -> Error {
    let rest = &script[start..];
    let width = rest.chars().next().map_or(0, char::len_utf8);
    let message = match rest.chars().next() {
        Some('\'') => "the string that begins here has no closing quote".to_owned(),
        Some('`') => "the name that begins here has no closing backquote".to_owned(),
        Some('/') => "the comment that begins here has no closing `*/`".to_owned(),
        _ => error.message.clone(),
    };
    Error::input("E002", message).at(Place::sql(start, start + width))
}

fn check_token(token: &TokenWithSpan) -> Result<()> {
    let error = match &token.token {
        Token::DoubleQuotedString(text) => {
            Error::input("E001", format!("double quotes are not used in this dialect: \"{text}\""))
                .with_hint(format!("write `{text}` for a name, '{text}' for a string"))
        }
        Token::Whitespace(Whitespace::MultiLineComment(text)) if text.starts_with('+') && is_options_hint(text) => {
            Error::unsupported("E201", "OPTIONS hints are not in this build")
                .with_hint("put the options into the table's WITH (…), or declare a second table with LIKE")
        }
        _ => return Ok(()),
    };
    Err(place(token.span).into_iter().fold(error, Error::at))
}

fn is_options_hint(comment: &str) -> bool {
    comment.to_ascii_uppercase().split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "OPTIONS")
}

/// Refuses input whose syntax tree would be so deep that walking it could exhaust the stack.
fn check_depth(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut open = vec![Level::default()];
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                let base = open.last().map_or(0, Level::depth);
                open.push(Level { base, ..Level::default() });
            }
            Token::RParen | Token::RBracket | Token::RBrace if open.len() > 1 => drop(open.pop()),
            Token::RParen | Token::RBracket | Token::RBrace => {}
            Token::SemiColon => open = vec![Level::default()],
            other => open.iter_mut().next_back().into_iter().for_each(|level| level.count(other)),
        }
        let deepest = open.last().map_or(0, Level::depth);
        if open.len() > NESTING_MAX + 1 {
            return Err(too_deep(token, format!("more than {NESTING_MAX} parentheses are open here")));
        }
        if deepest > CHAIN_MAX {
            return Err(too_deep(token, format!("more than {CHAIN_MAX} operators are chained here"))
                .with_hint("use IN (…) for long lists of alternatives, or split the expression into views"));
        }
    }
    Ok(())
}

fn too_deep(token: &TokenWithSpan, message: String) -> Error {
    place(token.span).into_iter().fold(Error::input("E003", message), Error::at)
}

/// What bounds the depth of the tree inside one pair of parentheses.
#[derive(Default)]
struct Level {
    /// Depth where the parenthesis opened.
    base: usize,
    /// Operators since the last separator.
    operators: usize,
    /// UNION, EXCEPT, INTERSECT and joins.
    sets: usize,
    /// CASE without END.
    cases: usize,
    /// Within a FROM clause, where a comma is a join.
    from: bool,
}

impl Level {
    fn depth(&self) -> usize {
        self.base + self.operators + self.sets + self.cases
    }

    fn count(&mut self, token: &Token) {
        match token {
            Token::Comma => {
                self.operators = 0;
                self.sets += usize::from(self.from);
            }
            Token::Word(word) if word.quote_style.is_none() => self.count_word(&word.value.to_ascii_uppercase()),
            Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_) | Token::Period => {}
            _ => self.operators += 1,
        }
    }

    fn count_word(&mut self, word: &str) {
        match word {
            "SELECT" | "WHERE" | "GROUP" | "HAVING" | "ORDER" | "WITH" => (self.operators, self.from) = (0, false),
            "FROM" => (self.operators, self.from) = (0, true),
            "ON" | "WHEN" | "THEN" | "ELSE" => self.operators = 0,
            "UNION" | "EXCEPT" | "INTERSECT" | "MINUS" | "JOIN" => self.sets += 1,
            "CASE" => self.cases += 1,
            "END" => self.cases = self.cases.saturating_sub(1),
            "AND" | "OR" | "NOT" | "IS" | "IN" | "LIKE" | "BETWEEN" | "SIMILAR" | "COLLATE" | "AT" | "INTERVAL" => {
                self.operators += 1;
            }
            _ => {}
        }
    }
}

/// Replaces what sqlparser cannot read by what it can, keeping every span.
///
/// - `TABLE name` as an argument: the word is left out;
/// - `TABLE name PARTITION BY k, …` as an argument: `name, partition_by(k, …)`;
/// - `ROW<…>`: `STRUCT<…>`;
/// - `MAP[…]`: `MAP(…)`;
/// - `WITH LOCAL TIME ZONE`: `WITH TIME ZONE` (there is no other zoned type in Flink);
/// - `TABLESAMPLE RESERVOIR (n ROWS)`, and other methods that are not standard: `TABLESAMPLE ((RESERVOIR, n))`; and
///   `OLKEN (n ROWS, WITH REPLACEMENT)`: `((OLKEN, n, REPLACEMENT))`;
/// - the unit in `TIMESTAMPDIFF(SECOND, …)` and `TIMESTAMPADD`: a string.
fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut map_ends = vec![];
    let mut keys_end = None;
    let mut sample_end = None;
    for (at, token) in tokens.iter().enumerate() {
        let symbol = |symbol: Token| TokenWithSpan::new(symbol, token.span);
        if is_table_argument(&tokens, at) || is_local_of_time_zone(&tokens, at) {
            continue;
        }
        if keys_end == Some(at) {
            kept.push(symbol(Token::RParen));
        }
        if let Some(end) = end_of_sample(&tokens, at) {
            sample_end = Some(end);
            kept.extend([symbol(Token::LParen), symbol(Token::LParen)]);
        } else if at > 0 && end_of_sample(&tokens, at - 1).is_some() {
            kept.push(symbol(Token::Comma));
            continue;
        } else if sample_end == Some(at) {
            kept.push(symbol(Token::RParen));
        } else if sample_end.is_some_and(|end| at < end) && is_sample_filler(&tokens, at) {
            continue;
        }
        if is_partition_argument(&tokens, at) {
            kept.push(symbol(Token::Comma));
        } else if at > 0 && is_partition_argument(&tokens, at - 1) {
            kept.push(symbol(Token::make_word("partition_by", None)));
            if tokens.get(at + 1).is_some_and(|next| next.token != Token::LParen) {
                kept.push(symbol(Token::LParen));
                keys_end = Some(end_of_keys(&tokens, at + 1));
            }
        } else if word_at(&tokens, at, "ROW") && token_at(&tokens, at + 1) == Some(&Token::Lt) {
            kept.push(symbol(Token::make_word("STRUCT", None)));
        } else if token.token == Token::LBracket && at > 0 && word_at(&tokens, at - 1, "MAP") {
            map_ends.push(closing_bracket(&tokens, at));
            kept.push(symbol(Token::LParen));
        } else if map_ends.last() == Some(&at) {
            map_ends.pop();
            kept.push(symbol(Token::RParen));
        } else if let Some(unit) = unit_argument(&tokens, at) {
            kept.push(symbol(Token::SingleQuotedString(unit.to_owned())));
        } else {
            kept.push(token.clone());
        }
    }
    kept
}

fn token_at(tokens: &[TokenWithSpan], at: usize) -> Option<&Token> {
    tokens.get(at).map(|token| &token.token)
}

/// Where the arguments of a sampling method that sqlparser does not know end, if its name stands here.
fn end_of_sample(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    const KNOWN: [&str; 4] = ["BERNOULLI", "SYSTEM", "ROW", "BLOCK"];
    let named = at > 0
        && word_at(tokens, at - 1, "TABLESAMPLE")
        && matches!(token_at(tokens, at), Some(Token::Word(_)))
        && token_at(tokens, at + 1) == Some(&Token::LParen);
    if !named || KNOWN.iter().any(|known| word_at(tokens, at, known)) {
        return None;
    }
    let end = (at + 2..tokens.len()).find(|at| tokens[*at].token == Token::RParen)?;
    let nested = tokens[at + 2..end].iter().any(|token| token.token == Token::LParen);
    (!nested).then_some(end)
}

/// Whether a word among the arguments of a sampling method says what is clear without it.
fn is_sample_filler(tokens: &[TokenWithSpan], at: usize) -> bool {
    let after_number = matches!(token_at(tokens, at - 1), Some(Token::Number(..)));
    after_number && word_at(tokens, at, "ROWS") || word_at(tokens, at, "WITH") && word_at(tokens, at + 1, "REPLACEMENT")
}

/// Index of the bracket that closes the one at `open`; past the end if there is none.
fn closing_bracket(tokens: &[TokenWithSpan], open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.token {
            Token::LBracket => depth += 1,
            Token::RBracket => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

/// Whether PARTITION BY at this place belongs to a table that is a function's argument.
fn is_partition_argument(tokens: &[TokenWithSpan], at: usize) -> bool {
    at >= 2 && word_at(tokens, at, "PARTITION") && word_at(tokens, at + 1, "BY") && is_table_argument(tokens, at - 2)
}

/// Index of the first comma or parenthesis after a list of keys: the keys end before `DESCRIPTOR` or a named argument.
fn end_of_keys(tokens: &[TokenWithSpan], start: usize) -> usize {
    let ends = |at: &usize| match token_at(tokens, *at) {
        Some(Token::Comma) => word_at(tokens, at + 1, "DESCRIPTOR") || token_at(tokens, at + 2) == Some(&Token::RArrow),
        Some(Token::RParen | Token::LParen | Token::SemiColon) => true,
        _ => false,
    };
    (start..tokens.len()).find(ends).unwrap_or(tokens.len())
}

fn word_at(tokens: &[TokenWithSpan], at: usize, wanted: &str) -> bool {
    tokens.get(at).is_some_and(|token| is_word(&token.token, wanted))
}

/// Whether a token is this word, unquoted, in any case.
pub(super) fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

fn is_table_argument(tokens: &[TokenWithSpan], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| &tokens[before].token);
    word_at(tokens, at, "TABLE")
        && matches!(before, Some(Token::LParen | Token::Comma | Token::RArrow))
        && matches!(tokens.get(at + 1), Some(TokenWithSpan { token: Token::Word(_), .. }))
}

fn is_local_of_time_zone(tokens: &[TokenWithSpan], at: usize) -> bool {
    at > 0 && ["WITH", "LOCAL", "TIME", "ZONE"].iter().zip(at - 1..).all(|(word, index)| word_at(tokens, index, word))
}

/// The units of time that functions take, in the singular.
pub const TIME_UNITS: [&str; 11] =
    ["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND", "NANOSECOND"];

fn unit_argument(tokens: &[TokenWithSpan], at: usize) -> Option<&'static str> {
    let is_function = |at: usize| ["TIMESTAMPDIFF", "TIMESTAMPADD"].iter().any(|name| word_at(tokens, at, name));
    if at < 2 || tokens[at - 1].token != Token::LParen || !is_function(at - 2) {
        return None;
    }
    let Token::Word(word) = &tokens[at].token else { return None };
    let name = word.value.to_ascii_uppercase();
    let name = name.strip_prefix("SQL_TSI_").unwrap_or(&name);
    TIME_UNITS.into_iter().find(|unit| name == *unit || name.strip_suffix('S') == Some(unit))
}
