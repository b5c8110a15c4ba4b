//! Every summary that SQL knows.

use fleuve_sketch::distinct::{AmsF0, Bjkst, Hll};
use fleuve_sketch::moment::AmsF2;

use super::super::accumulator::Accumulator;
use super::constants::{Constant, ConstantKind, Constants};
use super::held::{Answer, Held, big_int, double, itself};
use super::kinds::Summary;
use super::spec::{Create, Returns, Spec, Takes};
use super::stored::Merged;
use fleuve_base::Result;

const ERROR: Constant = Constant { name: "error", kind: ConstantKind::Number, optional: false };
const CONFIDENCE: Constant = Constant { name: "confidence", kind: ConstantKind::Number, optional: false };
const CONFIDENCE_OR_ONE_COPY: Constant = Constant { optional: true, ..CONFIDENCE };
const PRECISION: Constant = Constant { name: "precision", kind: ConstantKind::Count, optional: true };

/// Registers of a HyperLogLog are 2 to this power: 4,096, for a standard error of 1.6 %.
const HLL_PRECISION_DEFAULT: u64 = 12;

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
        |_, constants| Ok(held(ams_f0(constants)?, double(|s| Some(s.map_or(0.0, |s: &AmsF0| s.estimate().value))))),
    ),
    stores("ams_f0_sketch", "AMS_F0_SKETCH(x [, confidence])", &[CONFIDENCE_OR_ONE_COPY], |_, constants| {
        Ok(held(ams_f0(constants)?, itself()))
    }),
    merges("ams_f0_merge", "AMS_F0_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<AmsF0>::new()))),
    Spec {
        retractable: true,
        ..estimate(
            "ams_f2",
            "AMS_F2(x, error, confidence)",
            "the sum of the squares of how often each value comes (Alon, Matias, Szegedy 1996)",
            &[ERROR, CONFIDENCE],
            |_, constants| {
                Ok(held(ams_f2(constants)?, double(|s| Some(s.map_or(0.0, |s: &AmsF2| s.estimate().value)))))
            },
        )
    },
    Spec {
        retractable: true,
        ..stores("ams_f2_sketch", "AMS_F2_SKETCH(x, error, confidence)", &[ERROR, CONFIDENCE], |_, constants| {
            Ok(held(ams_f2(constants)?, itself()))
        })
    },
    merges("ams_f2_merge", "AMS_F2_MERGE(sketch)", |_, _| Ok(Box::new(Merged::<AmsF2>::new()))),
    estimate(
        "bjkst",
        "BJKST(x, error [, confidence])",
        "distinct values within a relative error (Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan 2002)",
        &[ERROR, CONFIDENCE_OR_ONE_COPY],
        |_, constants| Ok(held(bjkst(constants)?, double(|s| Some(s.map_or(0.0, |s: &Bjkst| s.estimate().value))))),
    ),
    stores("bjkst_sketch", "BJKST_SKETCH(x, error [, confidence])", &[ERROR, CONFIDENCE_OR_ONE_COPY], |_, constants| {
        Ok(held(bjkst(constants)?, itself()))
    }),
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
];

/// A summary of items that is read at once.
const fn estimate(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    constants: &'static [Constant],
    create: Create,
) -> Spec {
    let (takes, returns) = (Takes::Item, Returns::Double);
    Spec { name, usage, summary, takes, constants, returns, retractable: false, create }
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

fn held<S: Summary>(empty: S, answer: Answer<S>) -> Box<dyn Accumulator> {
    Box::new(Held::new(empty, answer))
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
    let precision = constants.count("precision").unwrap_or(HLL_PRECISION_DEFAULT);
    // What does not fit is refused by the summary, like any other that it does not offer.
    Hll::new(u8::try_from(precision).unwrap_or(u8::MAX))
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
