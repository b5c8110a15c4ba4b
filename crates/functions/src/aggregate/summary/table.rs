//! Every summary that SQL knows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StructArray};
use arrow::datatypes::Field;
use fleuve_base::{Error, Result};
use fleuve_sketch::distinct::{AmsF0, Bjkst, HLL_PRECISION_DEFAULT, Hll, THETA_LG_K_DEFAULT, Theta};
use fleuve_sketch::frequency::{CountMin, CountSketch};
use fleuve_sketch::membership::Bloom;
use fleuve_sketch::moment::AmsF2;
use fleuve_sketch::quantile::{KLL_K_DEFAULT, Kll, TDIGEST_K_DEFAULT, TDigest};
use fleuve_sketch::statistics::{Moments, Pairs};
use fleuve_sketch::window::ExponentialHistogram;

use super::super::accumulator::Accumulator;
use super::bag::Bag;
use super::constants::{Constant, ConstantKind, Constants};
use super::held::{Answer, Groups, Held, big_int, double, itself};
use super::kinds::{Ordered, Unordered};
use super::recent;
use super::sorted::{Sorted, kll};
use super::spec::{Create, Returns, Spec, Takes};
use super::stored::Merged;
use super::top;

const ERROR: Constant = Constant { name: "error", kind: ConstantKind::Number, optional: false };
const CONFIDENCE: Constant = Constant { name: "confidence", kind: ConstantKind::Number, optional: false };
const CONFIDENCE_OR_ONE_COPY: Constant = Constant { optional: true, ..CONFIDENCE };
const PRECISION: Constant = Constant { name: "precision", kind: ConstantKind::Count, optional: true };
const SIZE: Constant = Constant { name: "k", kind: ConstantKind::Count, optional: true };
const TOP: Constant = Constant { name: "k", kind: ConstantKind::Count, optional: false };
const SHARE: Constant = Constant { name: "share", kind: ConstantKind::Number, optional: false };
const ITEMS: Constant = Constant { name: "items", kind: ConstantKind::Count, optional: false };
const WRONG: Constant = Constant { name: "wrong", kind: ConstantKind::Number, optional: false };
const WINDOW: Constant = Constant { name: "window", kind: ConstantKind::Interval, optional: false };
const METHOD: Constant = Constant { name: "method", kind: ConstantKind::Text, optional: true };

/// The summary of this canonical name.
pub fn find(name: &str) -> Option<&'static Spec> {
    SUMMARIES.iter().find(|spec| spec.name == name)
}

/// All summaries.
pub const SUMMARIES: &[Spec] = &[
    estimate(
        "ams_f0",
        "AMS_F0(x [, confidence])",
        "distinct values within a factor of 8, or of 3 with a confidence (Alon, Matias, Szegedy 1996)",
        &[CONFIDENCE_OR_ONE_COPY],
        |_, constants| Ok(held(ams_f0(constants)?, or_zero(|s: &AmsF0| s.estimate().value))),
    ),
    stores("ams_f0_sketch", "AMS_F0_SKETCH(x [, confidence])", &[CONFIDENCE_OR_ONE_COPY], |_, constants| {
        Ok(held(ams_f0(constants)?, itself()))
    }),
    merges("ams_f0_merge", "AMS_F0_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<AmsF0>::new()))),
    retractable(estimate(
        "ams_f2",
        "AMS_F2(x, error, confidence)",
        "the sum of the squares of how often each value comes (Alon, Matias, Szegedy 1996)",
        &[ERROR, CONFIDENCE],
        |_, constants| Ok(held(ams_f2(constants)?, or_zero(|s: &AmsF2| s.estimate().value))),
    )),
    retractable(stores(
        "ams_f2_sketch",
        "AMS_F2_SKETCH(x, error, confidence)",
        &[ERROR, CONFIDENCE],
        |_, constants| Ok(held(ams_f2(constants)?, itself())),
    )),
    merges("ams_f2_merge", "AMS_F2_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<AmsF2>::new()))),
    estimate(
        "bjkst",
        "BJKST(x, error [, confidence])",
        "distinct values within a relative error (Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan 2002)",
        &[ERROR, CONFIDENCE_OR_ONE_COPY],
        |_, constants| Ok(held(bjkst(constants)?, or_zero(|s: &Bjkst| s.estimate().value))),
    ),
    stores(
        "bjkst_sketch",
        "BJKST_SKETCH(x, error [, confidence])",
        &[ERROR, CONFIDENCE_OR_ONE_COPY],
        |_, constants| Ok(held(bjkst(constants)?, itself())),
    ),
    merges("bjkst_merge", "BJKST_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<Bjkst>::new()))),
    Spec {
        returns: Returns::BigInt,
        ..estimate(
            "approx_count_distinct",
            "APPROX_COUNT_DISTINCT(x [, precision])",
            "distinct values by HyperLogLog++ (Heule, Nunkesser, Hall 2013)",
            &[PRECISION],
            |_, constants| {
                let count = |s: Option<&Hll>| Some(s.map_or(0, |s| s.estimate().value.round() as i64));
                Ok(held(hll(constants)?, big_int(count)))
            },
        )
    },
    stores("hll_sketch", "HLL_SKETCH(x [, precision])", &[PRECISION], |_, constants| {
        Ok(held(hll(constants)?, itself()))
    }),
    merges("hll_merge", "HLL_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<Hll>::new()))),
    stores("theta_sketch", "THETA_SKETCH(x [, k])", &[SIZE], |_, constants| Ok(held(theta(constants)?, itself()))),
    merges("theta_merge", "THETA_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<Theta>::new()))),
    stores("count_min_sketch", "COUNT_MIN_SKETCH(x, error, confidence)", &[ERROR, CONFIDENCE], |_, constants| {
        Ok(held(CountMin::new(constants.needed("error")?, constants.needed("confidence")?)?, itself()))
    }),
    merges("count_min_merge", "COUNT_MIN_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<CountMin>::new()))),
    retractable(stores("count_sketch", "COUNT_SKETCH(x, error, confidence)", &[ERROR, CONFIDENCE], |_, constants| {
        let (error, confidence) = (constants.needed("error")?, constants.needed("confidence")?);
        Ok(held(CountSketch::new(constants.seed(), error, confidence)?, itself()))
    })),
    merges("count_sketch_merge", "COUNT_SKETCH_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<CountSketch>::new()))),
    stores("bloom_sketch", "BLOOM_SKETCH(x, items, wrong)", &[ITEMS, WRONG], |_, constants| {
        let items = constants.count("items").unwrap_or(1);
        Ok(held(Bloom::new(constants.seed(), items, constants.needed("wrong")?)?, itself()))
    }),
    merges("bloom_merge", "BLOOM_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<Bloom>::new()))),
    retractable(stores("cuckoo_sketch", "CUCKOO_SKETCH(x, items)", &[ITEMS], |_, constants| {
        Ok(sorted(Bag::new(constants)?, itself()))
    })),
    merges("cuckoo_merge", "CUCKOO_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<Bag>::new()))),
    Spec {
        takes: Takes::Time,
        returns: Returns::BigInt,
        ..estimate(
            "approx_count_recent",
            "APPROX_COUNT_RECENT(time, window, error)",
            "the rows within a window before the newest time (Datar, Gionis, Indyk, Motwani 2002)",
            &[WINDOW, ERROR],
            |columns, constants| {
                let count = |s: Option<&ExponentialHistogram>| Some(s.map_or(0, |s| s.recent().value.round() as i64));
                Ok(sorted(recent::create(&columns[0], constants)?, big_int(count)))
            },
        )
    },
    Spec {
        takes: Takes::Time,
        ..stores(
            "exp_histogram_sketch",
            "EXP_HISTOGRAM_SKETCH(time, window, error)",
            &[WINDOW, ERROR],
            |columns, constants| Ok(sorted(recent::create(&columns[0], constants)?, itself())),
        )
    },
    merges("exp_histogram_merge", "EXP_HISTOGRAM_MERGE(sketch)", |_, _| {
        Ok(Box::new(Merged::<ExponentialHistogram>::new()))
    }),
    Spec {
        returns: Returns::Top,
        ..estimate(
            "approx_top_k",
            "APPROX_TOP_K(x, k)",
            "the k most frequent values with bounds on their counts, watching 10 k (Metwally, Agrawal, El Abbadi 2005)",
            &[TOP],
            |columns, constants| top::create(&columns[0], constants.count("k").unwrap_or(1)),
        )
    },
    Spec {
        takes: Takes::Number,
        ..estimate(
            "approx_percentile",
            "APPROX_PERCENTILE(x, share [, method])",
            "the value that this share lies below, by 'kll' (Karnin, Lang, Liberty 2016) or 'tdigest' (Dunning 2019)",
            &[SHARE, METHOD],
            |_, constants| percentile(constants),
        )
    },
    Spec {
        takes: Takes::Number,
        ..stores("kll_sketch", "KLL_SKETCH(x [, k])", &[SIZE], |_, constants| {
            Ok(sorted(kll(size(constants, KLL_K_DEFAULT))?, itself()))
        })
    },
    merges("kll_merge", "KLL_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<Kll<f64>>::new()))),
    Spec {
        takes: Takes::Number,
        ..stores("tdigest_sketch", "TDIGEST_SKETCH(x [, k])", &[SIZE], |_, constants| {
            Ok(sorted(TDigest::new(size(constants, TDIGEST_K_DEFAULT))?, itself()))
        })
    },
    merges("tdigest_merge", "TDIGEST_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<TDigest>::new()))),
    moments("skewness", "SKEWNESS(x)", "the skewness of what the values are a sample of", 0),
    moments("skewness_pop", "SKEWNESS_POP(x)", "the skewness of the values", 1),
    moments("kurtosis", "KURTOSIS(x)", "the excess kurtosis of what the values are a sample of", 2),
    moments("kurtosis_pop", "KURTOSIS_POP(x)", "the excess kurtosis of the values", 3),
    pairs("covar_pop", "COVAR_POP(y, x)", "the covariance of two columns", 0),
    pairs("covar_samp", "COVAR_SAMP(y, x)", "the covariance of what the rows are a sample of", 1),
    pairs("corr", "CORR(y, x)", "Pearson's correlation of two columns, -1 to 1", 2),
    pairs("regr_slope", "REGR_SLOPE(y, x)", "the slope of the line of least squares of y over x", 3),
    pairs("regr_intercept", "REGR_INTERCEPT(y, x)", "where the line of least squares of y over x meets x = 0", 4),
    pairs("regr_r2", "REGR_R2(y, x)", "the share of y's variance that the line of least squares explains", 5),
    Spec {
        returns: Returns::BigInt,
        ..pairs("regr_count", "REGR_COUNT(y, x)", "the rows in which neither is NULL", 6)
    },
];

/// Running statistics of a column: value `field` of what [`moment_values`] gives.
const fn moments(name: &'static str, usage: &'static str, summary: &'static str, field: usize) -> Spec {
    let create: Create = |_, _| Ok(held(Moments::default(), Box::new(moment_values)));
    let own = retractable(estimate(name, usage, summary, &[], create));
    Spec { takes: Takes::Number, state: "skewness", field: Some(field), ..own }
}

/// Running statistics of two columns: value `field` of what [`pair_values`] gives.
const fn pairs(name: &'static str, usage: &'static str, summary: &'static str, field: usize) -> Spec {
    let create: Create = |_, _| Ok(held(Pairs::default(), Box::new(pair_values)));
    let own = retractable(estimate(name, usage, summary, &[], create));
    Spec { takes: Takes::Numbers, state: "covar_pop", field: Some(field), ..own }
}

/// All that moments of a column say, in the order of their functions above.
fn moment_values(groups: &mut dyn Iterator<Item = Option<&Moments>>) -> Result<ArrayRef> {
    let groups: Vec<Option<&Moments>> = groups.collect();
    fields(vec![
        doubles(&groups, Moments::skewness_sample),
        doubles(&groups, Moments::skewness_population),
        doubles(&groups, Moments::kurtosis_sample),
        doubles(&groups, Moments::kurtosis_population),
    ])
}

/// All that moments of two columns say, in the order of their functions above.
fn pair_values(groups: &mut dyn Iterator<Item = Option<&Pairs>>) -> Result<ArrayRef> {
    let groups: Vec<Option<&Pairs>> = groups.collect();
    let counts: Int64Array = groups.iter().map(|pairs| Some(pairs.map_or(0, Pairs::count))).collect();
    fields(vec![
        doubles(&groups, Pairs::covariance_population),
        doubles(&groups, Pairs::covariance_sample),
        doubles(&groups, Pairs::correlation),
        doubles(&groups, Pairs::slope),
        doubles(&groups, Pairs::intercept),
        doubles(&groups, Pairs::r2),
        Arc::new(counts),
    ])
}

/// A value of each group, NULL where there is none.
fn doubles<S>(groups: &[Option<&S>], value: fn(&S) -> Option<f64>) -> ArrayRef {
    Arc::new(groups.iter().map(|group| group.and_then(value)).collect::<Float64Array>())
}

/// Columns as the fields of one.
fn fields(columns: Vec<ArrayRef>) -> Result<ArrayRef> {
    let named = columns.into_iter().enumerate().map(|(nth, column)| (nth.to_string(), column));
    let named: Vec<(Arc<Field>, ArrayRef)> =
        named.map(|(name, column)| (Arc::new(Field::new(name, column.data_type().clone(), true)), column)).collect();
    Ok(Arc::new(StructArray::from(named)))
}

/// A summary that can take rows back.
const fn retractable(spec: Spec) -> Spec {
    Spec { retractable: true, ..spec }
}

/// A summary of items that is read at once.
const fn estimate(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    constants: &'static [Constant],
    create: Create,
) -> Spec {
    let (takes, returns) = (Takes::Item, Returns::Double);
    Spec { name, usage, summary, takes, constants, returns, retractable: false, state: name, field: None, create }
}

/// A summary of items that is kept.
const fn stores(name: &'static str, usage: &'static str, constants: &'static [Constant], create: Create) -> Spec {
    let summary = "the summary itself, to be stored, merged and read later";
    Spec { returns: Returns::Stored, ..estimate(name, usage, summary, constants, create) }
}

/// Stored summaries made one.
const fn merges(name: &'static str, usage: &'static str, create: Create) -> Spec {
    Spec { takes: Takes::Stored, ..stores(name, usage, &[], create) }
}

fn held<S: Unordered>(empty: S, answer: Answer<S>) -> Box<dyn Accumulator> {
    Box::new(Held(Groups::new(empty, answer)))
}

fn sorted<S: Ordered>(empty: S, answer: Answer<S>) -> Box<dyn Accumulator> {
    Box::new(Sorted::new(Groups::new(empty, answer)))
}

/// 0 where no row came.
fn or_zero<S: 'static>(value: fn(&S) -> f64) -> Answer<S> {
    double(move |summary| Some(summary.map_or(0.0, value)))
}

fn ams_f0(constants: &Constants<'_>) -> Result<AmsF0> {
    AmsF0::new(constants.seed(), constants.number("confidence"))
}

fn ams_f2(constants: &Constants<'_>) -> Result<AmsF2> {
    AmsF2::new(constants.seed(), constants.needed("error")?, constants.needed("confidence")?)
}

fn bjkst(constants: &Constants<'_>) -> Result<Bjkst> {
    Bjkst::new(constants.seed(), constants.needed("error")?, constants.number("confidence"))
}

fn hll(constants: &Constants<'_>) -> Result<Hll> {
    // What does not fit is refused by the summary, like any other that it does not offer.
    Hll::new(constants.count("precision").map_or(HLL_PRECISION_DEFAULT, |p| u8::try_from(p).unwrap_or(u8::MAX)))
}

/// A Theta sketch keeps a power of two of hashes: the least that is not below k.
fn theta(constants: &Constants<'_>) -> Result<Theta> {
    let k = constants.count("k");
    Theta::new(k.map_or(THETA_LG_K_DEFAULT, |k| k.next_power_of_two().trailing_zeros() as u8))
}

fn size(constants: &Constants<'_>, default: u16) -> u16 {
    constants.count("k").map_or(default, |k| u16::try_from(k).unwrap_or(0))
}

fn percentile(constants: &Constants<'_>) -> Result<Box<dyn Accumulator>> {
    let share = constants.needed("share")?;
    if !(0.0..=1.0).contains(&share) {
        let text = format!("the share of APPROX_PERCENTILE lies between 0 and 1, not {share}");
        return Err(Error::input("E304", text).with_hint("the median is APPROX_PERCENTILE(x, 0.5)"));
    }
    match constants.text("method").map(str::to_ascii_lowercase).as_deref() {
        None | Some("kll") => {
            let value = move |s: Option<&Kll<f64>>| s.and_then(|s| s.quantile(share).ok().flatten());
            Ok(sorted(kll(KLL_K_DEFAULT)?, double(value)))
        }
        Some("tdigest") => {
            let value = move |s: Option<&TDigest>| s.and_then(|s| s.clone().quantile(share).ok().flatten());
            Ok(sorted(TDigest::new(TDIGEST_K_DEFAULT)?, double(value)))
        }
        Some(other) => {
            let text = format!("the method of APPROX_PERCENTILE is 'kll' or 'tdigest', not '{other}'");
            Err(Error::input("E304", text))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SUMMARIES;
    use arrow::datatypes::DataType;

    #[test]
    fn names_and_usages_agree() {
        for (index, spec) in SUMMARIES.iter().enumerate() {
            assert!(SUMMARIES[..index].iter().all(|other| other.name != spec.name), "{} stands twice", spec.name);
            assert!(spec.usage.starts_with(&format!("{}(", spec.name.to_uppercase())), "{}", spec.usage);
            assert_eq!(spec.usage.matches(',').count() + 1, spec.arguments().1, "{}", spec.usage);
            assert!(spec.takes_type(&DataType::Null));
        }
    }
}
