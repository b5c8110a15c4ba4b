//! DataFusion's and Arrow's errors as ours.

use arrow::error::ArrowError;
use datafusion_common::DataFusionError;
use fleuve_base::Error;

/// The user-facing error of a failed compilation or evaluation.
pub fn to_error(error: &DataFusionError) -> Error {
    match error.find_root() {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => Error::internal(inner.to_string()),
        },
        DataFusionError::ArrowError(arrow, _) => from_arrow(arrow),
        DataFusionError::Internal(text) => Error::internal(first_line(text)),
        DataFusionError::NotImplemented(text) => Error::unsupported("E305", first_line(text)),
        DataFusionError::ResourcesExhausted(text) => {
            Error::new(fleuve_base::ErrorKind::Limit, "E307", first_line(text))
        }
        other => Error::input("E304", first_line(&other.strip_backtrace())),
    }
}

/// [`to_error`], with the expression's text as detail.
pub(super) fn in_expression(error: &DataFusionError, expression: &str) -> Error {
    let error = to_error(error);
    if error.detail().is_some() { error } else { error.with_detail(format!("in the expression {expression}")) }
}

/// Our error as DataFusion's; [`to_error`] takes it out again.
pub(crate) fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn from_arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::DivideByZero => Error::input("E301", "division by zero")
            .with_hint("guard it: CASE WHEN divisor <> 0 THEN … END, or NULLIF(divisor, 0)"),
        ArrowError::ArithmeticOverflow(text) => Error::input("E302", format!("numeric overflow: {text}")),
        ArrowError::CastError(text) | ArrowError::ParseError(text) => {
            Error::input("E303", first_line(text)).with_hint("TRY_CAST gives NULL for what cannot be converted")
        }
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(error) => to_error(error),
            None => Error::internal(inner.to_string()),
        },
        ArrowError::NotYetImplemented(text) => Error::unsupported("E305", first_line(text)),
        ArrowError::OffsetOverflowError(_) => {
            Error::new(fleuve_base::ErrorKind::Limit, "E307", "the strings of one batch exceed 2 GiB")
        }
        ArrowError::InvalidArgumentError(text) | ArrowError::ComputeError(text) => {
            Error::input("E304", first_line(text))
        }
        other => Error::internal(other.to_string()),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim_start_matches("Error during planning: ").to_string()
}
