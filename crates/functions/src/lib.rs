//! The functions of the dialect, and the compiler from the plan's expressions to executable ones.
//!
//! **What it is.** [`registry`] knows every scalar function by name: Flink's, with Flink's meaning, and DataFusion's
//! where Flink has none. [`compile`] turns a plan's expression into something that runs over Arrow batches, and
//! [`compile::Calc`] a filter and projection. [`aggregate`] holds the aggregate functions.
//!
//! **What it is not.** It plans nothing and holds no state of a pipeline.
//!
//! **Invariants.** Nothing here reads a clock, a random source or a file: the only time is the epoch's, in a
//! [`compile::ClockCell`] that the worker sets. A result depends on the row, the clock and the session's time zone
//! alone. What is computed for a row only if a condition holds (CASE, `if`, `coalesce`, AND, OR) cannot fail for the
//! others.
//!
//! ```
//! use std::sync::Arc;
//! use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
//! use fleuve_functions::compile::{CompileContext, compile, evaluate};
//! use fleuve_plan::{Expr, Literal, Value};
//!
//! let urls: ArrayRef = Arc::new(StringArray::from(vec!["a/b/c", "d"]));
//! let batch = RecordBatch::try_from_iter([("url", urls)]).expect("one column");
//! let text = |text: &str| Literal { data_type: arrow::datatypes::DataType::Utf8, value: Value::String(text.into()) };
//! let args = vec![Expr::Column(0), Expr::Literal(text("/")), Expr::int64(1)];
//! let call = Expr::Call { function: "split_index".to_string(), args };
//!
//! let compiled = compile(&call, &batch.schema(), &CompileContext::default()).expect("a valid call");
//! let parts = evaluate(&compiled, &batch).expect("no row fails");
//! assert_eq!(parts.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("b"), None]);
//! ```

pub mod aggregate;
pub mod compile;
pub mod registry;
mod scalar;
