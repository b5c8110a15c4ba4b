//! What a function of ours is, and how DataFusion sees it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::type_coercion::binary::type_union_resolution;
use datafusion_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use fleuve_base::Error;

use super::args::Args;
use crate::compile::external;

/// The kernel of a function: one value per row.
pub(crate) type Eval = fn(&Args<'_>) -> Result<ArrayRef>;

/// Refuses constant arguments that can never work, when the query is planned.
pub(crate) type Check = fn(&[Option<&ScalarValue>]) -> Result<()>;

/// What a parameter takes; an argument of a related type is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Param {
    /// STRING.
    Text,
    /// Any integer, as BIGINT.
    Integer,
    /// Any number, as DOUBLE.
    Double,
    /// Any number as it is.
    Number,
    /// BOOLEAN.
    Boolean,
    /// TIMESTAMP, DATE or TIME; a string is read as a TIMESTAMP.
    Time,
    /// TIMESTAMP or TIMESTAMP_LTZ; a DATE or a string is converted.
    Timestamp,
    /// STRING or BYTES.
    Bytes,
    /// ARRAY.
    Array,
    /// Anything.
    Any,
    /// Anything, converted to the one type that all such arguments fit in.
    Common,
}

/// What a function gives.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Returns {
    Text,
    Boolean,
    Int,
    BigInt,
    Double,
    Date,
    Bytes,
    /// TIMESTAMP(3).
    Timestamp,
    /// TIMESTAMP_LTZ(3).
    TimestampLtz,
    /// The type of this argument.
    Argument(usize),
    /// Found from all arguments.
    From(fn(&[DataType]) -> Result<DataType>),
}

/// A function: everything that there is to know about it.
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    params: &'static [Param],
    optional: usize,
    repeats: bool,
    returns: Returns,
    strict: bool,
    nullable: bool,
    pub(crate) total: bool,
    check: Option<Check>,
    eval: Eval,
    pub(crate) usage: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) example: &'static str,
}

impl Spec {
    /// A strict function: NULL if any argument is, never NULL otherwise, and without errors for a row.
    pub(crate) const fn new(name: &'static str, params: &'static [Param], returns: Returns, eval: Eval) -> Self {
        Spec {
            name,
            aliases: &[],
            params,
            optional: 0,
            repeats: false,
            returns,
            strict: true,
            nullable: false,
            total: true,
            check: None,
            eval,
            usage: "",
            summary: "",
            example: "",
        }
    }

    /// How it is written, what it does, and an example that a test evaluates.
    pub(crate) const fn doc(mut self, usage: &'static str, summary: &'static str, example: &'static str) -> Self {
        self.usage = usage;
        self.summary = summary;
        self.example = example;
        self
    }

    /// Other names.
    pub(crate) const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// The last `count` parameters may be left out.
    pub(crate) const fn optional(mut self, count: usize) -> Self {
        self.optional = count;
        self
    }

    /// The last parameter may be repeated.
    pub(crate) const fn repeats(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// It can be NULL although no argument is.
    pub(crate) const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The kernel sees NULL arguments.
    pub(crate) const fn sees_nulls(mut self) -> Self {
        self.strict = false;
        self.nullable = true;
        self
    }

    /// It can fail for a row.
    pub(crate) const fn can_fail(mut self) -> Self {
        self.total = false;
        self
    }

    /// Constant arguments are checked when the query is planned.
    pub(crate) const fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    fn coerce(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let least = self.params.len() - self.optional;
        if types.len() < least || (types.len() > self.params.len() && !self.repeats) {
            return Err(self.wrong_count(types.len()));
        }
        let param = |nth: usize| self.params.get(nth).or(self.params.last()).copied().unwrap_or(Param::Any);
        let common = self.common_type(types, &param)?;
        let convert = |(nth, from): (usize, &DataType)| match (param(nth), &common) {
            (Param::Common, Some(common)) => Ok(common.clone()),
            (param, _) => param.accept(from).ok_or_else(|| self.wrong_type(nth, param, from)),
        };
        types.iter().enumerate().map(convert).collect()
    }

    fn common_type(&self, types: &[DataType], param: &dyn Fn(usize) -> Param) -> Result<Option<DataType>> {
        let mut common: Vec<DataType> = Vec::new();
        for (_, from) in types.iter().enumerate().filter(|(nth, _)| param(*nth) == Param::Common) {
            common.push(if is_text(from) { DataType::Utf8 } else { from.clone() });
        }
        if common.is_empty() {
            return Ok(None);
        }
        let found = type_union_resolution(&common).ok_or_else(|| {
            let types = common.iter().map(type_name).collect::<Vec<_>>().join(", ");
            external(Error::input("E304", format!("{}: no common type of {types}", self.title())))
        });
        found.map(Some)
    }

    fn title(&self) -> String {
        self.name.to_uppercase()
    }

    fn wrong_count(&self, count: usize) -> datafusion_common::DataFusionError {
        let plural = if count == 1 { "" } else { "s" };
        let message = format!("{} does not take {count} argument{plural}", self.title());
        external(Error::input("E304", message).with_hint(format!("it is written {}", self.usage)))
    }

    fn wrong_type(&self, nth: usize, param: Param, from: &DataType) -> datafusion_common::DataFusionError {
        let message = format!("argument {} of {} must be {param}, and is {}", nth + 1, self.title(), type_name(from));
        external(Error::input("E304", message).with_hint("convert it with CAST(… AS …)"))
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match self.returns {
            Returns::Text => DataType::Utf8,
            Returns::Boolean => DataType::Boolean,
            Returns::Int => DataType::Int32,
            Returns::BigInt => DataType::Int64,
            Returns::Double => DataType::Float64,
            Returns::Date => DataType::Date32,
            Returns::Bytes => DataType::Binary,
            Returns::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            Returns::TimestampLtz => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Returns::Argument(nth) => types.get(nth).cloned().unwrap_or(DataType::Null),
            Returns::From(find) => find(types)?,
        })
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Param::Text => "STRING",
            Param::Integer => "an integer",
            Param::Double | Param::Number => "a number",
            Param::Boolean => "BOOLEAN",
            Param::Time => "TIMESTAMP, DATE or TIME",
            Param::Timestamp => "TIMESTAMP",
            Param::Bytes => "STRING or BYTES",
            Param::Array => "ARRAY",
            Param::Any | Param::Common => "any type",
        })
    }
}

pub(crate) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

impl Param {
    /// The type to convert an argument to; none if the parameter does not take it.
    fn accept(self, from: &DataType) -> Option<DataType> {
        let is_null = from == &DataType::Null;
        let (accepted, to) = match self {
            Param::Text => (is_text(from) || is_null, DataType::Utf8),
            Param::Integer => (from.is_integer() || is_null, DataType::Int64),
            Param::Double => (from.is_numeric() || is_null, DataType::Float64),
            Param::Number if is_null => (true, DataType::Float64),
            Param::Number => (from.is_numeric(), from.clone()),
            Param::Boolean => (is_null || from == &DataType::Boolean, DataType::Boolean),
            Param::Time => match from {
                DataType::Date32 | DataType::Time32(_) | DataType::Time64(_) => (true, from.clone()),
                _ => return Param::Timestamp.accept(from),
            },
            Param::Timestamp => match from {
                DataType::Timestamp(_, _) => (true, from.clone()),
                DataType::Date32 | DataType::Date64 => (true, DataType::Timestamp(TimeUnit::Millisecond, None)),
                _ => (is_null || is_text(from), DataType::Timestamp(TimeUnit::Millisecond, None)),
            },
            Param::Bytes => match from {
                DataType::Binary => (true, DataType::Binary),
                DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => (true, DataType::Binary),
                _ => (is_null || is_text(from), DataType::Utf8),
            },
            Param::Array => (matches!(from, DataType::List(_)), from.clone()),
            Param::Any | Param::Common => (true, from.clone()),
        };
        accepted.then_some(to)
    }
}

/// SQL's name of a type.
pub(crate) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".to_string(),
        DataType::Boolean => "BOOLEAN".to_string(),
        DataType::Int8 => "TINYINT".to_string(),
        DataType::Int16 => "SMALLINT".to_string(),
        DataType::Int32 => "INT".to_string(),
        DataType::Int64 => "BIGINT".to_string(),
        DataType::Float32 => "FLOAT".to_string(),
        DataType::Float64 => "DOUBLE".to_string(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".to_string(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTES".to_string(),
        DataType::Date32 | DataType::Date64 => "DATE".to_string(),
        DataType::Time32(unit) | DataType::Time64(unit) => format!("TIME({})", digits(*unit)),
        DataType::Timestamp(unit, None) => format!("TIMESTAMP({})", digits(*unit)),
        DataType::Timestamp(unit, Some(_)) => format!("TIMESTAMP_LTZ({})", digits(*unit)),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::List(item) => format!("ARRAY<{}>", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| format!("{} {}", f.name(), type_name(f.data_type())));
            format!("ROW<{}>", fields.collect::<Vec<_>>().join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let fields: Vec<String> = fields.iter().map(|f| type_name(f.data_type())).collect();
                format!("MAP<{}>", fields.join(", "))
            }
            other => other.to_string(),
        },
        other => other.to_string(),
    }
}

fn digits(unit: TimeUnit) -> u8 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// A [`Spec`] as a DataFusion function.
pub(crate) struct Function {
    spec: &'static Spec,
    aliases: Vec<String>,
    signature: Signature,
}

impl Function {
    pub(crate) fn new(spec: &'static Spec) -> Self {
        let aliases = spec.aliases.iter().map(ToString::to_string).collect();
        Function { spec, aliases, signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.spec.name).finish()
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.spec.name == other.spec.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spec.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.spec.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.spec.coerce(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.spec.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if let Some(check) = self.spec.check {
            check(args.scalar_arguments)?;
        }
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        let from_arguments = self.spec.strict && args.arg_fields.iter().any(|field| field.is_nullable());
        let nullable = self.spec.nullable || from_arguments;
        Ok(Arc::new(Field::new(self.spec.name, self.spec.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let is_null = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(scalar) if scalar.is_null());
        if self.spec.strict && args.args.iter().any(is_null) {
            return ScalarValue::try_new_null(args.return_type()).map(ColumnarValue::Scalar);
        }
        let constant = args.args.iter().all(is_constant);
        let rows = if constant { 1 } else { args.number_rows };
        let result = (self.spec.eval)(&Args::new(self.spec.name, &args, rows))?;
        if constant {
            return ScalarValue::try_from_array(&result, 0).map(ColumnarValue::Scalar);
        }
        Ok(ColumnarValue::Array(result))
    }
}
