//! A mutational fuzzer of every decoder that strangers can reach: valid inputs, changed at random.
//!
//! ```text
//! cargo run --release -p fleuve-wire --example fuzz -- --target all --seconds 60
//! ```
//!
//! Each execution is made of the seed and its own number, nothing else, so a failure is had again with
//! `--seed S --from N --executions 1`. It fails on a panic, on a promise of the target that is broken (what was
//! decoded encodes to bytes that decode to the same again), and on memory over the target's limit.

#[path = "../../tests/wire/allocator.rs"]
mod allocator;
mod mutate;
mod targets;

use std::fmt::Write;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fleuve_wire::Source;

use crate::targets::Target;

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// What the command line asks for.
struct Options {
    target: String,
    seconds: u64,
    executions: u64,
    seed: u64,
    from: u64,
}

/// What the executions of one target came to.
#[derive(Default)]
struct Tally {
    executions: u64,
    decoded: u64,
    heap_bytes_max: usize,
}

const USAGE: &str = "fuzz [--target NAME|all] [--seconds N] [--executions N] [--seed N] [--from N]";

/// Bytes of a failed input that are printed.
const HEX_BYTES_MAX: usize = 512;

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options { target: "all".to_owned(), seconds: 0, executions: 0, seed: 1, from: 0 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse().map_err(|_| format!("{word} takes a number\n{USAGE}"));
        match word.as_str() {
            "--target" => options.target = value,
            "--seconds" => options.seconds = number()?,
            "--executions" => options.executions = number()?,
            "--seed" => options.seed = number()?,
            "--from" => options.from = number()?,
            _ => return Err(USAGE.to_owned()),
        }
    }
    if options.seconds == 0 && options.executions == 0 {
        options.seconds = 10;
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), String> {
    let targets = targets::all();
    let names: Vec<&str> = targets.iter().map(|target| target.name).collect();
    let chosen = |target: &&Target| options.target == "all" || options.target == target.name;
    if !targets.iter().any(|target| chosen(&target)) {
        return Err(format!("no target {}; there are {}", options.target, names.join(", ")));
    }
    targets.iter().filter(chosen).try_for_each(|target| fuzz(target, options))
}

fn fuzz(target: &Target, options: &Options) -> Result<(), String> {
    let corpus = (target.corpus)(&mut Source::new(options.seed));
    let start = Instant::now();
    let mut tally = Tally::default();
    let done = |tally: &Tally| match options.executions {
        0 => start.elapsed() >= Duration::from_secs(options.seconds),
        executions => tally.executions >= executions,
    };
    while !done(&tally) {
        let number = options.from + tally.executions;
        execute(target, &corpus, options.seed, number, &mut tally)?;
    }
    report(target, &tally, start.elapsed());
    Ok(())
}

fn report(target: &Target, tally: &Tally, elapsed: Duration) {
    println!(
        "{:<10} {:>11} executions in {:>5.1} s, {:>9.0}/s; {:>4.1} % decoded; at most {} bytes of heap; no failure",
        target.name,
        tally.executions,
        elapsed.as_secs_f64(),
        tally.executions as f64 / elapsed.as_secs_f64(),
        100.0 * tally.decoded as f64 / tally.executions.max(1) as f64,
        tally.heap_bytes_max,
    );
}

/// One input, made and decoded.
fn execute(target: &Target, corpus: &[Vec<u8>], seed: u64, number: u64, tally: &mut Tally) -> Result<(), String> {
    let mut source = Source::new(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95));
    let input = mutate::mutated(corpus, &mut source);
    let frame = Bytes::from(input.clone());
    let limit = (target.heap_bytes_max)(frame.len());
    let before = allocator::allocated_bytes();
    let outcome = catch_unwind(|| (target.run)(frame, &|| allocator::allocated_bytes()));
    let failure = match outcome {
        Ok(Ok(done)) => {
            let heap_bytes = done.allocated_bytes - before;
            tally.heap_bytes_max = tally.heap_bytes_max.max(heap_bytes);
            tally.decoded += u64::from(done.decoded);
            (heap_bytes > limit).then(|| format!("{heap_bytes} bytes of heap, more than {limit}"))
        }
        Ok(Err(broken)) => Some(broken),
        Err(_) => Some("a panic".to_owned()),
    };
    tally.executions += 1;
    match failure {
        None => Ok(()),
        Some(what) => Err(format!("{} FAILED: {what}\n--seed {seed} --from {number}\n{}", target.name, hex(&input))),
    }
}

/// The beginning: all of the input is had again by its number.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(HEX_BYTES_MAX).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}
