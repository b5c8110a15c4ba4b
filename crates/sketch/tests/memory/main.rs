//! No summary holds more memory than its documentation says. The example `sketch_memory` tries the same with a billion items.

mod table;

/// Items for the quickest summaries; the slowest get fewer, so that the test stays quick.
const ITEMS: u64 = 1_000_000;

#[test]
fn no_summary_grows_beyond_its_bound() {
    for kind in table::KINDS {
        let most = (kind.run)((ITEMS / kind.slower).max(20_000));
        assert!(most <= kind.most, "{} held {most} bytes, and {} is its bound", kind.name, kind.most);
    }
}
