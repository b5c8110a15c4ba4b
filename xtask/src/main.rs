//! Tasks around the project: `cargo xtask tidy | metrics | bench | guide | nexmark | e2e | torture`.

use std::process::ExitCode;

use xtask::{bench, e2e, files, guide, metrics, nexmark, tidy, torture};

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy                 the project's conventions: layers, docs, names, promises
  metrics              size and shape of the code, against the targets
  bench nexmark [..]   events a second of the Nexmark queries (bench nexmark --help)
  bench latency        arrival to release at 1,000 events a second
  bench kafka          the broker beside Apache Kafka, by one driver over librdkafka
  bench sketch [WORD]  the summaries beside other crates, and samples and draws
  guide [FIGURES]      the guide's table and picture of measured errors, made anew, or from what was measured
  guide pictures [BIN] the guide's pictures of what the binary answers
  nexmark [..]         the large Nexmark data set against its golden results (nexmark --help)
  e2e [..]             real clients against the binary
  torture [NAME..]     faults on the real binary: kills, power cuts, failing disks, hostile clients
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["tidy"] => tidy::check(&files::root()),
        ["metrics"] => metrics::print(&files::root()),
        ["bench", rest @ ..] => bench::run(rest),
        ["guide", "pictures", rest @ ..] => guide::pictures(&files::root(), rest.first().copied()),
        ["guide", rest @ ..] => guide::make(&files::root(), rest.first().copied()),
        ["nexmark", rest @ ..] => nexmark::run(rest),
        ["e2e", rest @ ..] => e2e::run(rest),
        ["torture", rest @ ..] => torture::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}
