//! The data sets, generated once for the whole test program.

use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fleuve_connect::nexmark::{EventOptions, write_json};

/// A data set on disk, with the name under which its golden results stand.
pub struct DataSet {
    /// `n200k_sparse` or `n2m`.
    pub golden: &'static str,
    /// The JSON lines.
    pub file: PathBuf,
    /// The side table of q13.
    pub side: PathBuf,
}

fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    DIRECTORY.get_or_init(|| tempfile::tempdir().expect("a temporary directory")).path()
}

fn make(golden: &'static str, name: &str, events: u64, options: EventOptions) -> DataSet {
    let file = directory().join(format!("{name}.json"));
    let mut out = BufWriter::new(std::fs::File::create(&file).expect("creates"));
    write_json(events, &options, &mut out).expect("generates");
    let side = directory().join("side_input.csv");
    let rows: String = (0..10_000).map(|key| format!("{key},{key}\n")).collect();
    std::fs::write(&side, rows).expect("writes");
    DataSet { golden, file, side }
}

/// 200,000 events over 27 hours.
pub fn sparse() -> &'static DataSet {
    static SET: OnceLock<DataSet> = OnceLock::new();
    SET.get_or_init(|| make("n200k_sparse", "sparse", 200_000, EventOptions { rate: 2.0, ..Default::default() }))
}

/// The same events, shuffled within groups of 8: 3.5 s, inside the watermark's 4 s.
pub fn sparse_out_of_order() -> &'static DataSet {
    static SET: OnceLock<DataSet> = OnceLock::new();
    let options = EventOptions { rate: 2.0, group: 8, ..Default::default() };
    SET.get_or_init(|| make("n200k_sparse", "sparse-ooo", 200_000, options))
}

/// Two million events in 200 s.
pub fn large() -> &'static DataSet {
    static SET: OnceLock<DataSet> = OnceLock::new();
    SET.get_or_init(|| make("n2m", "large", 2_000_000, EventOptions::default()))
}

/// The same events, shuffled within groups of 10,000: 1 s.
pub fn large_out_of_order() -> &'static DataSet {
    static SET: OnceLock<DataSet> = OnceLock::new();
    let options = EventOptions { group: 10_000, ..Default::default() };
    SET.get_or_init(|| make("n2m", "large-ooo", 2_000_000, options))
}
