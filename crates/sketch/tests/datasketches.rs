//! What Apache DataSketches stores is read here, and what is stored here is read there.
//!
//! The files in `fixtures` were made by its Python package, which is its implementation in C++; `fixtures/make.py` says how. The other
//! direction is tried with its implementation in Rust.

#![allow(clippy::unwrap_used, reason = "a failure fails a test")]

use datasketches::hll::HllSketch;
use datasketches::kll::{KllFloat, KllSketch};
use datasketches::tdigest::TDigestMut;
use datasketches::theta::CompactThetaSketch;
use fleuve_sketch::distinct::{Hll, Theta, ThetaSet};
use fleuve_sketch::frequency::CountMin;
use fleuve_sketch::quantile::{Kll, TDigest};
use std::path::PathBuf;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name).with_extension("bin")).unwrap()
}

/// What DataSketches answered; none if it was empty.
fn fact(name: &str, key: &str) -> Option<f64> {
    let facts = std::fs::read_to_string(directory().join("facts.txt")).unwrap();
    let line = facts.lines().find_map(|line| line.strip_prefix(&format!("{name} {key} "))).unwrap();
    line.parse().ok()
}

fn hll(items: i64) -> Hll {
    let mut summary = Hll::new(10).unwrap();
    summary.update_all(&(0..items).collect::<Vec<_>>());
    summary
}

#[test]
fn hyperloglog_of_any_width_is_read() {
    for count in [0, 5, 60, 5000] {
        for name in ["hll4", "hll6", "hll8", "hll8_union"] {
            let read = Hll::from_bytes(&fixture(&format!("{name}_{count}"))).unwrap();
            assert_eq!(read, hll(count), "{name} {count}");
        }
        let theirs = fact(&format!("hll8_union_{count}"), "estimate").unwrap();
        assert!((hll(count).estimate().value - theirs).abs() <= 0.03 * theirs, "{count}: {theirs}");
    }
    assert_eq!(Hll::from_bytes(&fixture("hll8_updatable")).unwrap(), hll(60));
}

#[test]
fn texts_and_floats_are_hashed_as_there() {
    let (mut texts, mut floats) = (Hll::new(10).unwrap(), Hll::new(10).unwrap());
    (0..5000).for_each(|i| texts.update(format!("text {i}").as_str()));
    (0..5000).for_each(|i| floats.update(&(f64::from(i) * 0.25)));
    assert_eq!(Hll::from_bytes(&fixture("hll8_texts")).unwrap(), texts);
    assert_eq!(Hll::from_bytes(&fixture("hll8_floats")).unwrap(), floats);
}

#[test]
fn hyperloglog_is_written_as_there() {
    assert_eq!(hll(0).to_bytes(), fixture("hll8_0"));
    // The result of a union, whose order is unknown, too; it differs in the eight bytes of HIP's count, which then mean nothing.
    let (ours, theirs) = (hll(5000).to_bytes(), fixture("hll8_union_5000"));
    assert!((&ours[..8], &ours[16..]) == (&theirs[..8], &theirs[16..]));
    for count in [0, 5, 60, 5000] {
        let read = HllSketch::deserialize(&hll(count).to_bytes()).unwrap();
        assert!((read.estimate() - count as f64).abs() <= 0.1 * count as f64);
    }
}

#[test]
fn theta_is_the_same_there_and_here() {
    for count in [0, 1, 100, 5000] {
        let mut summary = Theta::new(8).unwrap();
        summary.update_all(&(0..count).collect::<Vec<i64>>());
        let bytes = fixture(&format!("theta_{count}"));
        assert_eq!(summary.to_bytes(), bytes, "{count}");
        assert_eq!(ThetaSet::from_bytes(&bytes).unwrap(), summary.set());
        assert_eq!(ThetaSet::from_bytes(&fixture(&format!("theta_unordered_{count}"))).unwrap(), summary.set());
        let theirs = fact(&format!("theta_{count}"), "estimate").unwrap();
        assert!((summary.set().estimate().value - theirs).abs() < 1e-6 * theirs.max(1.0));
        assert_eq!(CompactThetaSketch::deserialize(&summary.to_bytes()).unwrap().estimate(), theirs);
    }
}

#[test]
fn count_min_is_the_same_there_and_here() {
    let mut summary = CountMin::with_shape(4, 100).unwrap();
    assert_eq!(summary.to_bytes(), fixture("count_min_empty"));
    summary.update_all(&(0..300).map(|item| item % 50).collect::<Vec<i64>>()).unwrap();
    summary.update_weighted("text", 7).unwrap();
    assert_eq!(summary.to_bytes(), fixture("count_min"));
    assert_eq!(CountMin::from_bytes(&fixture("count_min")).unwrap(), summary);
    assert_eq!(Some(summary.estimate(&3i64).value), fact("count_min", "three"));
    assert_eq!(Some(summary.estimate("text").value), fact("count_min", "text"));
}

#[test]
fn kll_is_read_there_and_here() {
    for count in [0, 1, 150, 5000] {
        let read = Kll::<f64>::from_bytes(&fixture(&format!("kll_doubles_{count}")), 1).unwrap();
        assert_eq!(read.quantile(0.5).unwrap(), fact(&format!("kll_doubles_{count}"), "median"));
        assert_eq!(read.total(), count);
        let longs = Kll::<i64>::from_bytes(&fixture(&format!("kll_longs_{count}")), 1).unwrap();
        assert_eq!(
            longs.quantile(0.5).unwrap().map(|median| median as f64),
            fact(&format!("kll_longs_{count}"), "median")
        );

        let mut ours = Kll::new(200, 1).unwrap();
        (0..count).for_each(|item| ours.update((item * 7 % 5001) as f64));
        let theirs = KllSketch::<KllFloat<f64>>::deserialize(&ours.to_bytes()).unwrap();
        let median = theirs.quantile(0.5, datasketches::common::SearchCriteria::Inclusive).unwrap();
        assert_eq!(median.map(KllFloat::into_inner), ours.quantile(0.5).unwrap());
        // What they go on with is read again.
        let again = Kll::<f64>::from_bytes(&theirs.serialize(), 1).unwrap();
        assert_eq!(again.quantile(0.5).unwrap(), ours.quantile(0.5).unwrap());
    }
}

#[test]
fn t_digest_is_read_there_and_here() {
    for count in [0, 1, 150, 5000] {
        let name = format!("tdigest_{count}");
        let mut read = TDigest::from_bytes(&fixture(&name)).unwrap();
        assert_eq!(read.total(), count);
        match (read.quantile(0.5).unwrap(), fact(&name, "median")) {
            // The two interpolate differently; this is 2 % of the rank.
            (Some(ours), Some(theirs)) => assert!((ours - theirs).abs() <= 0.14 * count as f64, "{ours} {theirs}"),
            (ours, theirs) => assert_eq!(ours, theirs),
        }
        assert_eq!(TDigestMut::deserialize(&read.to_bytes()).unwrap().total_weight(), count);
    }
}
