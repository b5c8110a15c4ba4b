//! What each summary holds after a stream, against the most that its documentation lets it hold.
//!
//! `cargo run --release -p fleuve-sketch --example sketch_memory [ITEMS [WORD]]` feeds a billion items unless told otherwise, to the
//! summaries whose name contains the word.

#[path = "../tests/memory/table.rs"]
mod table;

use std::time::Instant;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let items = arguments.next().and_then(|items| items.parse().ok()).unwrap_or(1_000_000_000u64);
    let word = arguments.next().unwrap_or_default();
    println!("| summary | items | bytes held at most | its bound | seconds |\n|---|---|---|---|");
    for kind in table::KINDS.iter().filter(|kind| kind.name.contains(&word)) {
        let start = Instant::now();
        // The slowest would take an hour: they get a tenth.
        let items = if kind.slower >= 400 { items / 10 } else { items };
        let most = (kind.run)(items);
        println!("| {} | {items} | {most} | {} | {:.1} |", kind.name, kind.most, start.elapsed().as_secs_f64());
        assert!(most <= kind.most, "{} held more than it may", kind.name);
    }
}
