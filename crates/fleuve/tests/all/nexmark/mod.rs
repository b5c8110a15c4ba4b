//! The Nexmark queries against golden results, with 1, 2 and 4 workers, with restarts in the middle, and out of order.
//!
//! `golden.json` holds for each query the number of rows and the SHA-256 of the answer: every row's columns joined by `,`
//! (NULL is `\N`, a timestamp `YYYY-MM-DD HH:MM:SS.mmm`), the rows sorted as text, each ended by a newline. The answers
//! were computed by DuckDB in batch from the same data.

mod collect;
mod data;
mod runner;
mod topics;

use runner::{Case, run};

/// Queries whose answer is compared as it is.
const QUERIES: [&str; 16] =
    ["q0", "q1", "q2", "q3", "q5", "q7", "q8", "q10", "q11", "q13", "q14", "q15", "q16", "q17", "q21", "q22"];

fn all(case: &Case) {
    let failures: Vec<String> = QUERIES.iter().chain(&["q12"]).filter_map(|query| run(query, case).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn one_worker() {
    all(&Case::sparse());
}

#[test]
fn two_workers() {
    all(&Case { workers: vec![2], ..Case::sparse() });
}

#[test]
fn four_workers() {
    all(&Case { workers: vec![4], ..Case::sparse() });
}

#[test]
fn restarts_with_other_numbers_of_workers() {
    all(&Case { workers: vec![1, 2, 4, 1], ..Case::sparse() });
}

#[test]
fn out_of_order() {
    all(&Case { data: data::sparse_out_of_order, ..Case::sparse() });
}

#[test]
#[ignore = "two million events: cargo xtask nexmark"]
fn large() {
    for workers in [1, 2, 4] {
        all(&Case { workers: vec![workers], ..Case::large() });
    }
    all(&Case { workers: vec![2, 1, 4], ..Case::large() });
    all(&Case { data: data::large_out_of_order, ..Case::large() });
}
