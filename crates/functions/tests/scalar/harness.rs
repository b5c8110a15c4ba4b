//! Reads and evaluates lines such as `SPLIT_INDEX('a,b', ',', 1) = 'b'`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion_common::ScalarValue;
use fleuve_base::Error;
use fleuve_functions::compile::{
    ClockCell, CompileContext, compile, data_type, evaluate, literal_to_scalar, scalar_to_literal,
};
use fleuve_plan::Expr;

/// Parameters that only make sense as constants.
const CONSTANT_ONLY: &[(&str, usize)] =
    &[("extract", 0), ("timestampdiff", 0), ("timestampadd", 0), ("floor_time", 1), ("ceil_time", 1)];

pub fn check_all(lines: &[&str]) {
    lines.iter().for_each(|line| check(line));
}

pub fn check(line: &str) {
    check_line("UTC", line);
}

pub fn check_in_zone(zone: &str, lines: &[&str]) {
    lines.iter().for_each(|line| check_line(zone, line));
}

/// Which literals become columns.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Constants,
    Columns,
    FirstColumn,
}

fn check_line(zone: &str, line: &str) {
    let mut parser = Parser { text: line };
    let call = parser.expr();
    parser.expect("=");
    let Expr::Literal(expected) = parser.expr() else { panic!("{line}: the result is no literal") };
    assert_eq!(parser.text.trim(), "", "{line}");
    let expected = literal_to_scalar(&expected).unwrap();
    for mode in [Mode::Constants, Mode::Columns, Mode::FirstColumn] {
        let mut columns = Vec::new();
        let expr = with_columns(&call, mode, &mut columns);
        let result = run(&expr, &columns, zone).unwrap_or_else(|e| panic!("{line} ({mode:?}): {e} {:?}", e.detail()));
        for row in [1, 2] {
            compare(&ScalarValue::try_from_array(&result, row).unwrap(), &expected, &format!("{line} ({mode:?})"));
        }
    }
}

fn compare(actual: &ScalarValue, expected: &ScalarValue, line: &str) {
    if expected.is_null() || actual.is_null() {
        assert!(actual.is_null() && expected.is_null(), "{line}: got {actual:?}");
        return;
    }
    let family = |t: &DataType| match t {
        t if t.is_integer() => 'i',
        t if t.is_floating() => 'f',
        DataType::Decimal128(_, _) => 'd',
        DataType::Timestamp(_, _) => 't',
        DataType::Utf8 => 's',
        _ => '-',
    };
    let (actual_type, expected_type) = (actual.data_type(), expected.data_type());
    assert_eq!(family(&actual_type), family(&expected_type), "{line}: got {actual:?}");
    let expected = expected.cast_to(&actual_type).unwrap();
    if let (ScalarValue::Float64(Some(a)), ScalarValue::Float64(Some(b))) = (actual, &expected) {
        assert!((a - b).abs() < 1e-12 * b.abs().max(1e-3) || (a.is_nan() && b.is_nan()), "{line}: got {a}");
        return;
    }
    assert_eq!(actual, &expected, "{line}");
}

/// The expression with literals replaced by columns, whose values are collected.
fn with_columns(expr: &Expr, mode: Mode, columns: &mut Vec<ScalarValue>) -> Expr {
    let Expr::Call { function, args } = expr else { return expr.clone() };
    let replace = |(nth, arg): (usize, &Expr)| match arg {
        Expr::Literal(literal) if mode != Mode::Constants && !CONSTANT_ONLY.contains(&(function.as_str(), nth)) => {
            if mode == Mode::FirstColumn && !columns.is_empty() {
                return arg.clone();
            }
            columns.push(literal_to_scalar(literal).unwrap());
            Expr::Column(columns.len() - 1)
        }
        Expr::Call { .. } => with_columns(arg, mode, columns),
        other => other.clone(),
    };
    Expr::Call { function: function.clone(), args: args.iter().enumerate().map(replace).collect() }
}

/// Three rows: NULLs, the values, the values.
fn batch(columns: &[ScalarValue]) -> RecordBatch {
    let array = |value: &ScalarValue| -> ArrayRef {
        let null = ScalarValue::try_new_null(&value.data_type()).unwrap();
        ScalarValue::iter_to_array([null, value.clone(), value.clone()]).unwrap()
    };
    let arrays: Vec<ArrayRef> = columns.iter().map(array).collect();
    let fields: Vec<Field> =
        arrays.iter().enumerate().map(|(n, a)| Field::new(format!("c{n}"), a.data_type().clone(), true)).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(3));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).unwrap()
}

fn run(expr: &Expr, columns: &[ScalarValue], zone: &str) -> Result<ArrayRef, Error> {
    let batch = batch(columns);
    let context = CompileContext::new(ClockCell::new(0), zone)?;
    let compiled = compile(expr, &batch.schema(), &context)?;
    let result = evaluate(&compiled, &batch)?;
    assert_eq!(result.len(), 3, "{expr}");
    assert_eq!(result.data_type(), &compiled.data_type(&batch.schema()).unwrap(), "{expr}");
    let nullable = compiled.nullable(&batch.schema()).unwrap();
    assert!(nullable || result.null_count() == 0, "{expr} says that it is never NULL");
    Ok(result)
}

fn parse(call: &str) -> Expr {
    let mut parser = Parser { text: call };
    let expr = parser.expr();
    assert_eq!(parser.text.trim(), "", "{call}");
    expr
}

pub fn compile_error(call: &str) -> Error {
    match run(&parse(call), &[], "UTC") {
        Err(error) => error,
        Ok(result) => panic!("{call} gave {result:?}"),
    }
}

pub fn result_type(call: &str) -> DataType {
    data_type(&parse(call), &Arc::new(Schema::empty()), &CompileContext::default()).unwrap().0
}

/// A recursive-descent parser of calls and literals.
struct Parser<'a> {
    text: &'a str,
}

impl<'a> Parser<'a> {
    fn peek(&mut self) -> char {
        self.text = self.text.trim_start();
        self.text.chars().next().unwrap_or('\0')
    }

    fn expect(&mut self, token: &str) {
        self.peek();
        let rest = self.text.strip_prefix(token);
        self.text = rest.unwrap_or_else(|| panic!("`{token}` is missing before `{}`", self.text));
    }

    fn take_while(&mut self, part: impl Fn(char) -> bool) -> &'a str {
        let end = self.text.find(|c| !part(c)).unwrap_or(self.text.len());
        let (taken, rest) = self.text.split_at(end);
        self.text = rest;
        taken
    }

    fn expr(&mut self) -> Expr {
        match self.peek() {
            '\'' => literal(ScalarValue::Utf8(Some(self.quoted()))),
            '-' | '0'..='9' => literal(self.number()),
            _ => self.word(),
        }
    }

    fn quoted(&mut self) -> String {
        self.expect("'");
        let mut value = String::new();
        loop {
            value.push_str(self.take_while(|c| c != '\''));
            self.text = &self.text[1..];
            match self.text.strip_prefix('\'') {
                Some(rest) => {
                    value.push('\'');
                    self.text = rest;
                }
                None => return value,
            }
        }
    }

    fn number(&mut self) -> ScalarValue {
        let text = self.take_while(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | 'e'));
        if text.contains('e') {
            return ScalarValue::Float64(Some(text.parse().unwrap()));
        }
        if let Some((_, fraction)) = text.split_once('.') {
            let digits = text.trim_start_matches('-').len() - 1;
            let unscaled = text.replace('.', "").parse().unwrap();
            return ScalarValue::Decimal128(Some(unscaled), digits as u8, fraction.len() as i8);
        }
        match text.parse::<i32>() {
            Ok(value) => ScalarValue::Int32(Some(value)),
            Err(_) => ScalarValue::Int64(Some(text.parse().unwrap())),
        }
    }

    fn word(&mut self) -> Expr {
        let word = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_').to_ascii_lowercase();
        match word.as_str() {
            "null" => literal(ScalarValue::Null),
            "true" => literal(ScalarValue::Boolean(Some(true))),
            "false" => literal(ScalarValue::Boolean(Some(false))),
            "bigint" => match self.expr_scalar() {
                ScalarValue::Int32(Some(v)) => literal(ScalarValue::Int64(Some(v.into()))),
                other => literal(other),
            },
            "date" if self.peek() == '\'' => self.typed(DataType::Date32),
            "time" if self.peek() == '\'' => self.typed(DataType::Time32(TimeUnit::Millisecond)),
            "timestamp" if self.peek() == '\'' => self.typed(DataType::Timestamp(TimeUnit::Millisecond, None)),
            "timestamp9" => self.typed(DataType::Timestamp(TimeUnit::Nanosecond, None)),
            "timestamp_ltz" => self.typed(DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
            "array" => {
                self.expect("[");
                let args = self.list("]");
                Expr::Call { function: "make_array".to_string(), args }
            }
            _ => {
                self.expect("(");
                Expr::Call { args: self.list(")"), function: word }
            }
        }
    }

    fn expr_scalar(&mut self) -> ScalarValue {
        self.peek();
        self.number()
    }

    fn typed(&mut self, data_type: DataType) -> Expr {
        self.peek();
        let text = ScalarValue::Utf8(Some(self.quoted()));
        literal(text.cast_to(&data_type).unwrap())
    }

    fn list(&mut self, end: &str) -> Vec<Expr> {
        let mut args = Vec::new();
        while !end.starts_with(self.peek()) {
            args.push(self.expr());
            if self.peek() == ',' {
                self.expect(",");
            }
        }
        self.expect(end);
        args
    }
}

fn literal(scalar: ScalarValue) -> Expr {
    Expr::Literal(scalar_to_literal(&scalar).unwrap())
}
