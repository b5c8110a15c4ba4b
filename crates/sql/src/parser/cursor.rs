//! Reads the tokens of a script: the primitives that the statements are parsed with.

use fleuve_base::{Error, Place, Result};
use sqlparser::ast;
use sqlparser::dialect::Dialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::statement::{ByteSpan, Name};
use super::token::{byte_range, is_word};
use super::{normalize, syntax_error};

/// A position in a script's tokens. Queries and expressions are sqlparser's; all else is parsed here.
pub(super) struct Cursor<'a> {
    dialect: &'a dyn Dialect,
    parser: Parser<'a>,
    tokens: Vec<TokenWithSpan>,
    script: &'a str,
    /// Position after the last token read.
    last_end: usize,
}

/// The catalog and the database that every Flink session begins with; a name may be qualified by them.
const DEFAULT_CATALOG: &str = "default_catalog";
const DEFAULT_DATABASE: &str = "default_database";

impl<'a> Cursor<'a> {
    /// A cursor before the first token.
    pub fn new(dialect: &'a dyn Dialect, script: &'a str, tokens: Vec<TokenWithSpan>) -> Self {
        let parser = Parser::new(dialect).with_tokens_with_locations(tokens.clone());
        Cursor { dialect, parser, tokens, script, last_end: 0 }
    }

    /// The script that the tokens' spans point into.
    pub fn script(&self) -> &'a str {
        self.script
    }

    /// The next token, or EOF.
    pub fn peek(&self) -> &Token {
        &self.parser.peek_token_ref().token
    }

    /// The token after `n` others.
    pub fn peek_nth(&self, n: usize) -> &Token {
        &self.parser.peek_nth_token_ref(n).token
    }

    /// Place of the next token; the end of the script if there is none.
    pub fn next_span(&self) -> ByteSpan {
        byte_range(self.parser.peek_token_ref().span).unwrap_or((self.script.len(), self.script.len()))
    }

    /// Position after the last token read.
    pub fn last_end(&self) -> usize {
        self.last_end
    }

    /// Reads a token.
    pub fn advance(&mut self) -> Token {
        self.last_end = self.next_span().1;
        self.parser.next_token().token
    }

    /// Reads the word `SELECT`, and takes the one after it, which is no SQL of the library's, for another `SELECT`.
    pub fn skip_select(&mut self) {
        self.advance();
        let index = self.parser.index();
        if let Some(token) = self.tokens.get_mut(index) {
            token.token = Token::make_keyword("SELECT");
        }
        self.parser = Parser::new(self.dialect).with_tokens_with_locations(self.tokens.clone());
        (0..index).for_each(|_| drop(self.parser.next_token()));
    }

    /// Reads the token if it is the next one.
    pub fn accept(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        if found {
            self.advance();
        }
        found
    }

    /// Reads the token, or fails.
    pub fn expect(&mut self, token: &Token) -> Result<()> {
        if self.accept(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    /// Whether the next token is this word.
    pub fn at_word(&self, word: &str) -> bool {
        is_word(self.peek(), word)
    }

    /// Whether these words come next.
    pub fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| is_word(self.peek_nth(n), word))
    }

    /// Reads the words if they come next.
    pub fn accept_words(&mut self, words: &[&str]) -> bool {
        let found = self.at_words(words);
        if found {
            words.iter().for_each(|_| drop(self.advance()));
        }
        found
    }

    /// Reads the word if it comes next.
    pub fn accept_word(&mut self, word: &str) -> bool {
        self.accept_words(&[word])
    }

    /// Reads the words one by one, or fails at the first that differs.
    pub fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        words.iter().try_for_each(
            |word| {
                if self.accept_word(word) { Ok(()) } else { Err(self.expected_one_of(&[word])) }
            },
        )
    }

    /// Reads a name, quoted or not.
    pub fn name(&mut self, what: &str) -> Result<Name> {
        let span = self.next_span();
        match self.peek() {
            Token::Word(word) => {
                let value = word.value.clone();
                self.advance();
                Ok(Name { value, span })
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Reads the name of a table, view or function, which may be qualified by the default catalog and database.
    pub fn object_name(&mut self, what: &str) -> Result<Name> {
        let mut parts = vec![self.name(what)?];
        while self.accept(&Token::Period) {
            parts.push(self.name(what)?);
        }
        let span = (parts[0].span.0, self.last_end);
        let values: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
        match strip_defaults(&values) {
            Some(name) => Ok(Name { value: name.to_owned(), span }),
            None => Err(qualified_name(&values).at(Place::sql(span.0, span.1))),
        }
    }

    /// Reads a string literal.
    pub fn string(&mut self, what: &str) -> Result<Name> {
        let span = self.next_span();
        match self.peek() {
            Token::SingleQuotedString(text) => {
                let value = text.clone();
                self.advance();
                Ok(Name { value, span })
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Reads `( item, … )`.
    pub fn parenthesized<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect(&Token::LParen)?;
        let mut items = vec![item(self)?];
        while self.accept(&Token::Comma) {
            items.push(item(self)?);
        }
        if self.accept(&Token::RParen) { Ok(items) } else { Err(self.expected("`,` or `)`")) }
    }

    /// Reads an expression.
    pub fn expr(&mut self) -> Result<ast::Expr> {
        let mut expr = self.run(|parser| parser.parse_expr())?;
        normalize::expr(&mut expr)?;
        Ok(expr)
    }

    /// Reads a query.
    pub fn query(&mut self) -> Result<Box<ast::Query>> {
        let mut query = self.run(|parser| parser.parse_query())?;
        normalize::query(&mut query)?;
        Ok(query)
    }

    fn run<T>(&mut self, parse: impl FnOnce(&mut Parser<'a>) -> Result<T, ParserError>) -> Result<T> {
        let outcome = parse(&mut self.parser);
        let index = self.parser.index();
        let last = index.checked_sub(1).and_then(|last| self.tokens.get(last).or(self.tokens.last()));
        if let Some((_, end)) = last.and_then(|token| byte_range(token.span)) {
            self.last_end = end;
        }
        outcome.map_err(|error| syntax_error::from_parser(&error, &self.tokens, index, self.script))
    }

    /// The error of finding the next token where `what` should be.
    pub fn expected(&self, what: &str) -> Error {
        syntax_error::expected(what, &[], &self.tokens, self.parser.index(), self.script)
    }

    /// The error of finding the next token where a query or an expression should have ended with `what`.
    pub fn expected_after_query(&self, what: &str) -> Error {
        syntax_error::expected_in_query(what, &self.tokens, self.parser.index(), self.script)
    }

    /// The error of finding the next token where one of these words should be.
    pub fn expected_one_of(&self, words: &[&str]) -> Error {
        let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let what = match quoted.as_slice() {
            [rest @ .., last] if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            all => all.concat(),
        };
        syntax_error::expected(&what, words, &self.tokens, self.parser.index(), self.script)
    }

    /// An error that is placed from `start` to the last token read.
    pub fn since(&self, start: usize, error: Error) -> Error {
        error.at(Place::sql(start, self.last_end.max(start)))
    }
}

/// The last part of a name whose other parts are the default catalog and database.
pub(super) fn strip_defaults<'n>(parts: &[&'n str]) -> Option<&'n str> {
    match parts {
        [name] | [DEFAULT_DATABASE, name] | [DEFAULT_CATALOG, DEFAULT_DATABASE, name] => Some(name),
        _ => None,
    }
}

/// The refusal of a name in another catalog or database.
pub(super) fn qualified_name(parts: &[&str]) -> Error {
    Error::unsupported("E201", format!("other catalogs and databases are not in this build: `{}`", parts.join(".")))
        .with_hint("use the last part of the name alone")
}
