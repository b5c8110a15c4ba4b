//! The same queries over a topic, which a client has filled through the broker: the answers must be the same.

use std::path::PathBuf;

use super::runner::Case;
use super::{all, data};
use crate::cli::program::Place;
use crate::serve::serve;

/// Where `cargo xtask nexmark --topics` says that a client has written the large data set.
const DIRECTORY: &str = "FLEUVE_NEXMARK_TOPICS";

#[test]
fn a_topic_that_a_client_has_filled() {
    let place = Place::new();
    let served = serve(&place, &[]);
    let at = ["--bootstrap", &served.kafka];
    place.fleuve(&[&["topic", "create", "nexmark", "--partitions", "3"][..], &at].concat()).succeeds();
    let file = data::sparse().file.display().to_string();
    let produce = ["produce", "nexmark", "--file", &file, "--compression", "lz4"];
    let produced = place.fleuve(&[&produce[..], &at].concat());
    assert!(produced.stderr.contains("200000 records written"), "{}", produced.stderr);
    assert_eq!(served.running.stop().status, 0);
    all(&Case { workers: vec![2, 1], topics: Some(place.path("d")), ..Case::sparse() });
}

#[test]
#[ignore = "needs the topic of two million events: cargo xtask nexmark --topics"]
fn the_large_topic_that_a_client_has_filled() {
    let directory = std::env::var_os(DIRECTORY).map(PathBuf::from).expect("cargo xtask nexmark --topics names it");
    for workers in [vec![1], vec![2], vec![2, 1, 4]] {
        all(&Case { workers, topics: Some(directory.clone()), ..Case::large() });
    }
}
