//! Scalar functions that only the planner knows: they name a meaning during analysis and are gone after lowering.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion_common::{Result, ScalarValue, not_impl_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};
use fleuve_base::{Error, nearest};

use super::errors::external;
use super::extension::{WINDOW_COLUMNS, WINDOW_TYPE};
use crate::types::display;

/// A field of a ROW: `get_field(row, 'name')`.
pub const FIELD: &str = "get_field";

/// The legacy group windows, as they stand in GROUP BY. Each yields a ROW of the [`WINDOW_COLUMNS`].
pub const GROUP_WINDOWS: [&str; 3] = ["tumble", "hop", "session"];

/// The variable that stands for the clock of an epoch. A variable, unlike a function, is never folded into a constant.
pub const CLOCK: &str = "@clock";

static FIELD_ACCESS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(RowField::new())));

static WINDOWS: LazyLock<Vec<Arc<ScalarUDF>>> =
    LazyLock::new(|| GROUP_WINDOWS.map(|name| Arc::new(ScalarUDF::new_from_impl(GroupWindow::new(name)))).to_vec());

/// The marker of this (lower-case) name.
pub fn marker(name: &str) -> Option<Arc<ScalarUDF>> {
    match name {
        FIELD => Some(Arc::clone(&FIELD_ACCESS)),
        _ => WINDOWS.iter().find(|window| window.name() == name).cloned(),
    }
}

/// `row.name`.
pub fn field_access(row: Expr, name: &str) -> Expr {
    FIELD_ACCESS.call(vec![row, lit(name)])
}

/// The type of the clock: TIMESTAMP_LTZ(3).
pub fn clock_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// The clock as a variable.
pub fn clock_field() -> FieldRef {
    Arc::new(Field::new(CLOCK, clock_type(), false))
}

/// A legacy group window.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct GroupWindow {
    name: &'static str,
    signature: Signature,
}

impl GroupWindow {
    fn new(name: &'static str) -> Self {
        GroupWindow { name, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for GroupWindow {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(Fields::from(WINDOW_COLUMNS.map(|name| Field::new(name, WINDOW_TYPE, false)).to_vec())))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        Ok(Arc::new(Field::new(self.name, self.return_type(&types)?, false)))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_impl_err!("{} is planned, not called", self.name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RowField {
    signature: Signature,
}

impl RowField {
    fn new() -> Self {
        RowField { signature: Signature::any(2, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RowField {
    fn name(&self) -> &str {
        FIELD
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        plan_err!("the type of a field depends on its name")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let name = match args.scalar_arguments {
            [_, Some(ScalarValue::Utf8(Some(name)))] => name,
            _ => return plan_err!("a field is named by a constant"),
        };
        let DataType::Struct(fields) = args.arg_fields[0].data_type() else {
            let own = display(args.arg_fields[0].data_type());
            return Err(external(Error::input(
                "E020",
                format!("`{name}` is read of a value of type {own}; only a ROW has fields"),
            )));
        };
        match fields.iter().find(|field| field.name() == name) {
            Some(field) => {
                let nullable = field.is_nullable() || args.arg_fields[0].is_nullable();
                Ok(Arc::new(field.as_ref().clone().with_nullable(nullable)))
            }
            None => Err(external(unknown_field(name, fields))),
        }
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        not_impl_err!("field access is planned, not called")
    }
}

fn unknown_field(name: &str, fields: &Fields) -> Error {
    let names: Vec<&str> = fields.iter().map(|field| field.name().as_str()).collect();
    let error = Error::input("E012", format!("unknown field `{name}`"))
        .with_detail(format!("fields of the ROW: {}", names.join(", ")));
    match nearest(name, names) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}
