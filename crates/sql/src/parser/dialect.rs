//! What sqlparser has to know about Flink's dialect.

use std::cell::Cell;

use sqlparser::ast::Expr;
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

/// Flink's dialect: names in backquotes, strings in single quotes without backslash escapes.
///
/// sqlparser tries alternatives by backtracking, which on hostile input takes exponential time. Every alternative
/// that can nest parses an expression prefix, so the dialect counts those and gives up on a script that needs
/// far more of them than it has tokens.
#[derive(Debug)]
pub(super) struct FlinkDialect {
    prefixes_left: Cell<usize>,
}

/// Expression prefixes that the parser may try per token.
const PREFIXES_PER_TOKEN_MAX: usize = 64;

impl FlinkDialect {
    /// A dialect for a script of this many tokens.
    pub fn new(tokens: usize) -> Self {
        FlinkDialect { prefixes_left: Cell::new((tokens + 16).saturating_mul(PREFIXES_PER_TOKEN_MAX)) }
    }
}

/// Words that begin a construct of their own: after a failed attempt at it they are not tried again as a name, which
/// would both hide the error and double the work.
const CONSTRUCTS: &[Keyword] = &[
    Keyword::CASE,
    Keyword::CAST,
    Keyword::TRY_CAST,
    Keyword::EXISTS,
    Keyword::EXTRACT,
    Keyword::CEIL,
    Keyword::FLOOR,
    Keyword::POSITION,
    Keyword::SUBSTRING,
    Keyword::SUBSTR,
    Keyword::OVERLAY,
    Keyword::TRIM,
    Keyword::INTERVAL,
    Keyword::ARRAY,
    Keyword::NOT,
    Keyword::STRUCT,
];

impl Dialect for FlinkDialect {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }

    fn identifier_quote_style(&self, _identifier: &str) -> Option<char> {
        Some('`')
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_' || ch == '$'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn parse_prefix(&self, _parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        match self.prefixes_left.get().checked_sub(1) {
            Some(left) => {
                self.prefixes_left.set(left);
                None
            }
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        CONSTRUCTS.contains(&kw)
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_group_by_expr(&self) -> bool {
        true
    }

    fn supports_match_recognize(&self) -> bool {
        true
    }

    fn supports_struct_literal(&self) -> bool {
        true
    }

    fn supports_map_literal_with_angle_brackets(&self) -> bool {
        true
    }

    fn supports_table_versioning(&self) -> bool {
        true
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    fn supports_window_clause_named_window_reference(&self) -> bool {
        true
    }

    fn require_interval_qualifier(&self) -> bool {
        true
    }
}
