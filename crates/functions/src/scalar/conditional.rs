//! Functions that choose among their arguments.
//!
//! The compiler evaluates `if`, `coalesce` and `ifnull` lazily and never calls the kernels here; they serve the
//! planner, which asks for types and folds constants.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::kernels::cmp::{gt, lt, not_distinct};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{is_not_null, nullif, prep_null_mask_filter};
use datafusion_common::Result;

use super::args::Args;
use super::function::{Param, Returns, Spec, type_name};

const COMMON: &[Param] = &[Param::Common];
const COMMON_2: &[Param] = &[Param::Common, Param::Common];

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] =
    &[
        Spec::new("if", &[Param::Boolean, Param::Common, Param::Common], Returns::Argument(1), choose)
            .sees_nulls()
            .doc("IF(condition, a, b)", "a where the condition is true, else b", "IF(TRUE, 'yes', 'no') = 'yes'"),
        Spec::new("coalesce", COMMON, Returns::Argument(0), coalesce).repeats().sees_nulls().doc(
            "COALESCE(value, …)",
            "the first value that is not NULL",
            "COALESCE(NULL, 'a') = 'a'",
        ),
        Spec::new("ifnull", COMMON_2, Returns::Argument(0), coalesce).aliases(&["nvl"]).sees_nulls().doc(
            "IFNULL(value, default)",
            "the value, or the default where it is NULL",
            "IFNULL(NULL, 5) = 5",
        ),
        Spec::new("nullif", COMMON_2, Returns::Argument(0), null_if).sees_nulls().doc(
            "NULLIF(a, b)",
            "NULL where the two are equal, else a",
            "NULLIF(5, 5) = NULL",
        ),
        Spec::new("greatest", COMMON, Returns::Argument(0), greatest).repeats().doc(
            "GREATEST(value, …)",
            "the greatest value; NULL if any is NULL",
            "GREATEST(1, 7, 3) = 7",
        ),
        Spec::new("least", COMMON, Returns::Argument(0), least).repeats().doc(
            "LEAST(value, …)",
            "the least value; NULL if any is NULL",
            "LEAST('b', 'a') = 'a'",
        ),
        Spec::new("typeof", &[Param::Any], Returns::Text, type_of).sees_nulls().doc(
            "TYPEOF(value)",
            "the name of the value's type",
            "TYPEOF('a') = 'STRING'",
        ),
    ];

fn choose(args: &Args<'_>) -> Result<ArrayRef> {
    let condition = args.array(0)?;
    let condition = condition.as_boolean();
    let mask = if condition.null_count() > 0 { prep_null_mask_filter(condition) } else { condition.clone() };
    Ok(zip(&mask, &args.array(1)?, &args.array(2)?)?)
}

fn coalesce(args: &Args<'_>) -> Result<ArrayRef> {
    let mut value = args.array(0)?;
    for nth in 1..args.len() {
        value = zip(&is_not_null(&value)?, &value, &args.array(nth)?)?;
    }
    Ok(value)
}

fn null_if(args: &Args<'_>) -> Result<ArrayRef> {
    let value = args.array(0)?;
    Ok(nullif(&value, &not_distinct(&value, &args.array(1)?)?)?)
}

fn greatest(args: &Args<'_>) -> Result<ArrayRef> {
    extreme(args, |a, b| Ok(gt(a, b)?))
}

fn least(args: &Args<'_>) -> Result<ArrayRef> {
    extreme(args, |a, b| Ok(lt(a, b)?))
}

fn extreme(args: &Args<'_>, wins: fn(&ArrayRef, &ArrayRef) -> Result<BooleanArray>) -> Result<ArrayRef> {
    let mut best = args.array(0)?;
    for nth in 1..args.len() {
        let next = args.array(nth)?;
        let mask = wins(&next, &best)?;
        best = zip(&BooleanArray::new(mask.values().clone(), None), &next, &best)?;
    }
    match args.nulls() {
        Some(nulls) => Ok(nullif(&best, &BooleanArray::new(!nulls.inner(), None))?),
        None => Ok(best),
    }
}

fn type_of(args: &Args<'_>) -> Result<ArrayRef> {
    let name = type_name(&args.data_type(0));
    Ok(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(name, args.rows))))
}
