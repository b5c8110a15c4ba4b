//! Reading stored summaries: what BYTES that a `…_SKETCH` or `…_MERGE` aggregate made have to say.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array};
use arrow::buffer::NullBuffer;
use datafusion_common::Result;
use fleuve_sketch::distinct::{AmsF0, Bjkst, Hll, THETA_LG_K, ThetaSet};
use fleuve_sketch::estimate::Estimate;
use fleuve_sketch::frequency::{CountMin, CountSketch};
use fleuve_sketch::membership::{Bloom, Cuckoo};
use fleuve_sketch::moment::AmsF2;
use fleuve_sketch::quantile::{Kll, TDigest};
use fleuve_sketch::window::ExponentialHistogram;

use super::args::Args;
use super::function::{Param, Returns, Spec};
use crate::aggregate::summary::items::{Items, with_item};
use crate::compile::external;

const SKETCH: &[Param] = &[Param::Bytes];
const TWO_SKETCHES: &[Param] = &[Param::Bytes, Param::Bytes];
const SKETCH_AND_SHARE: &[Param] = &[Param::Bytes, Param::Double];
const SKETCH_AND_ITEM: &[Param] = &[Param::Bytes, Param::Any];

/// What is read of a sketch that a query made: its functions have no example of one line.
const NO_EXAMPLE: &str = "";

/// The functions of this module.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::new("ams_f0_estimate", SKETCH, Returns::Double, |args| {
        values(args, |bytes| Ok(AmsF0::from_bytes(bytes)?.estimate()))
    })
    .can_fail()
    .doc("AMS_F0_ESTIMATE(sketch)", "the distinct values of an AMS_F0_SKETCH", NO_EXAMPLE),
    Spec::new("ams_f2_estimate", SKETCH, Returns::Double, |args| {
        values(args, |bytes| Ok(AmsF2::from_bytes(bytes)?.estimate()))
    })
    .can_fail()
    .doc("AMS_F2_ESTIMATE(sketch)", "the sum of squares of an AMS_F2_SKETCH", NO_EXAMPLE),
    Spec::new("bjkst_estimate", SKETCH, Returns::Double, |args| {
        values(args, |bytes| Ok(Bjkst::from_bytes(bytes)?.estimate()))
    })
    .can_fail()
    .doc("BJKST_ESTIMATE(sketch)", "the distinct values of a BJKST_SKETCH", NO_EXAMPLE),
    Spec::new("hll_estimate", SKETCH, Returns::Double, |args| {
        values(args, |bytes| Ok(Hll::from_bytes(bytes)?.estimate()))
    })
    .can_fail()
    .doc("HLL_ESTIMATE(sketch)", "the distinct values of an HLL_SKETCH", NO_EXAMPLE),
    Spec::new("theta_estimate", SKETCH, Returns::Double, |args| {
        values(args, |bytes| Ok(ThetaSet::from_bytes(bytes)?.estimate()))
    })
    .can_fail()
    .doc("THETA_ESTIMATE(sketch)", "the distinct values of a THETA_SKETCH", NO_EXAMPLE),
    Spec::new("theta_union", TWO_SKETCHES, Returns::Bytes, |args| sets(args, |a, b| a.union(b, *THETA_LG_K.end())))
        .can_fail()
        .doc("THETA_UNION(sketch, sketch)", "the THETA_SKETCH of what is in either", NO_EXAMPLE),
    Spec::new("theta_intersection", TWO_SKETCHES, Returns::Bytes, |args| sets(args, ThetaSet::intersection))
        .aliases(&["theta_intersect"])
        .can_fail()
        .doc("THETA_INTERSECTION(sketch, sketch)", "the THETA_SKETCH of what is in both", NO_EXAMPLE),
    Spec::new("theta_difference", TWO_SKETCHES, Returns::Bytes, |args| sets(args, ThetaSet::difference))
        .can_fail()
        .doc("THETA_DIFFERENCE(sketch, sketch)", "the THETA_SKETCH of what is in the first only", NO_EXAMPLE),
    Spec::new("kll_estimate", SKETCH_AND_SHARE, Returns::Double, |args| {
        quantiles(args, |bytes, share| Kll::<f64>::from_bytes(bytes, 0)?.quantile(share))
    })
    .nullable()
    .can_fail()
    .doc("KLL_ESTIMATE(sketch, share)", "the value that this share of a KLL_SKETCH lies below", NO_EXAMPLE),
    Spec::new("tdigest_estimate", SKETCH_AND_SHARE, Returns::Double, |args| {
        quantiles(args, |bytes, share| TDigest::from_bytes(bytes)?.quantile(share))
    })
    .nullable()
    .can_fail()
    .doc(
        "TDIGEST_ESTIMATE(sketch, share)",
        "the value that this share of a TDIGEST_SKETCH lies below",
        NO_EXAMPLE,
    ),
    Spec::new("count_min_estimate", SKETCH_AND_ITEM, Returns::Double, |args| {
        counts(args, |bytes, items, row| {
            let sketch = CountMin::from_bytes(bytes)?;
            Ok(with_item!(items, row, item => sketch.estimate(item)))
        })
    })
    .can_fail()
    .doc("COUNT_MIN_ESTIMATE(sketch, x)", "how often x came to a COUNT_MIN_SKETCH, never too few", NO_EXAMPLE),
    Spec::new("count_sketch_estimate", SKETCH_AND_ITEM, Returns::Double, |args| {
        counts(args, |bytes, items, row| {
            let sketch = CountSketch::from_bytes(bytes)?;
            Ok(with_item!(items, row, item => sketch.estimate(item)))
        })
    })
    .can_fail()
    .doc("COUNT_SKETCH_ESTIMATE(sketch, x)", "how often x came to a COUNT_SKETCH", NO_EXAMPLE),
    Spec::new("bloom_contains", SKETCH_AND_ITEM, Returns::Boolean, |args| {
        let contained = with_items(args, |bytes, items, row| {
            let sketch = Bloom::from_bytes(bytes)?;
            Ok(match items {
                Items::Integers(values) => sketch.contains_i64(values.value(row)),
                Items::Floats(values) => sketch.contains_f64(values.value(row)),
                Items::Bytes(values) => sketch.contains_bytes(values.value(row)),
                Items::Decimals(values) => sketch.contains_bytes(&values.value(row).to_le_bytes()),
            })
        })?;
        Ok(Arc::new(BooleanArray::from(contained)))
    })
    .can_fail()
    .doc("BLOOM_CONTAINS(sketch, x)", "false only if x never came to a BLOOM_SKETCH", NO_EXAMPLE),
    Spec::new("cuckoo_contains", SKETCH_AND_ITEM, Returns::Boolean, |args| {
        let contained = with_items(args, |bytes, items, row| {
            let sketch = Cuckoo::from_bytes(bytes)?;
            Ok(with_item!(items, row, item => sketch.contains(item)))
        })?;
        Ok(Arc::new(BooleanArray::from(contained)))
    })
    .can_fail()
    .doc("CUCKOO_CONTAINS(sketch, x)", "false only if x is not in a CUCKOO_SKETCH", NO_EXAMPLE),
    Spec::new("exp_histogram_estimate", SKETCH, Returns::Double, |args| {
        values(args, |bytes| Ok(ExponentialHistogram::from_bytes(bytes)?.recent()))
    })
    .can_fail()
    .doc(
        "EXP_HISTOGRAM_ESTIMATE(sketch)",
        "the rows within the window of an EXP_HISTOGRAM_SKETCH before its newest time",
        NO_EXAMPLE,
    ),
];

/// An argument of stored summaries.
fn sketches(args: &Args<'_>, nth: usize) -> Result<BinaryArray> {
    let array = args.array(nth)?;
    match array.as_binary_opt::<i32>() {
        Some(sketches) => Ok(sketches.clone()),
        None => Err(args.fail("E304", "a sketch is BYTES, not STRING")),
    }
}

/// A value of each row in which no argument is NULL.
fn rows<T>(
    args: &Args<'_>,
    nulls: Option<&NullBuffer>,
    value: impl Fn(usize) -> fleuve_base::Result<Option<T>>,
) -> Result<Vec<Option<T>>> {
    let present = |row: &usize| nulls.is_none_or(|nulls| nulls.is_valid(*row));
    let one = |row| Some(row).filter(present).map_or(Ok(None), &value);
    (0..args.rows).map(|row| one(row).map_err(external)).collect()
}

fn values(args: &Args<'_>, read: fn(&[u8]) -> fleuve_base::Result<Estimate>) -> Result<ArrayRef> {
    let sketches = sketches(args, 0)?;
    let values = rows(args, args.nulls().as_ref(), |row| Ok(Some(read(sketches.value(row))?.value)))?;
    Ok(Arc::new(Float64Array::from(values)))
}

fn quantiles(args: &Args<'_>, read: fn(&[u8], f64) -> fleuve_base::Result<Option<f64>>) -> Result<ArrayRef> {
    let (sketches, shares) = (sketches(args, 0)?, args.doubles(1)?);
    let values = rows(args, args.nulls().as_ref(), |row| read(sketches.value(row), shares.value(row)))?;
    Ok(Arc::new(Float64Array::from(values)))
}

fn counts(args: &Args<'_>, read: fn(&[u8], &Items, usize) -> fleuve_base::Result<Estimate>) -> Result<ArrayRef> {
    let estimates = with_items(args, read)?;
    Ok(Arc::new(estimates.into_iter().map(|estimate| estimate.map(|e| e.value)).collect::<Float64Array>()))
}

/// What a stored summary says of an item, for each row.
fn with_items<T>(args: &Args<'_>, read: fn(&[u8], &Items, usize) -> fleuve_base::Result<T>) -> Result<Vec<Option<T>>> {
    let (sketches, items) = (sketches(args, 0)?, args.array(1)?);
    if !Items::takes(items.data_type()) {
        return Err(args.fail("E304", "a value of a nested type was never counted"));
    }
    let items = Items::of(&items).map_err(external)?;
    rows(args, args.nulls().as_ref(), |row| Ok(Some(read(sketches.value(row), &items, row)?)))
}

fn sets(args: &Args<'_>, combine: fn(&ThetaSet, &ThetaSet) -> ThetaSet) -> Result<ArrayRef> {
    let (left, right) = (sketches(args, 0)?, sketches(args, 1)?);
    let sets = rows(args, args.nulls().as_ref(), |row| {
        let (left, right) = (ThetaSet::from_bytes(left.value(row))?, ThetaSet::from_bytes(right.value(row))?);
        Ok(Some(combine(&left, &right).to_bytes()))
    })?;
    Ok(Arc::new(sets.into_iter().collect::<BinaryArray>()))
}
