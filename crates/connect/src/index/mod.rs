//! Indexes: copies of a table's rows in a topic of their own, and a B+-tree over them.
//!
//! `CREATE INDEX i ON t (c)` runs a pipeline that reads `t` and ends here, in a sink that appends each epoch once to the topic
//! `__index-i-rows`: a row's number is its offset. The [`Tree`](fleuve_sketch::index::Tree) of keys is derived from
//! that topic and kept in memory; its changed pages go to the compacted topic `__index-i-pages` now and then, so that a start
//! applies only the rows behind them. `docs/adr/0013-an-index-is-a-copy-with-a-tree.md` says why, and
//! `docs/internals/indexes.md` how it is stored.

mod cache;
mod columns;
mod definition;
mod draws;
mod extremes;
mod histogram;
mod key;
mod pages;
mod part;
mod registry;
mod rows;
mod search;
mod sink;
mod stride;
mod tree;

pub use definition::Definition;
pub use key::KeyShape;
pub use registry::Indexes;
pub use tree::Index;

pub(crate) use part::open_part;
pub(crate) use sink::IndexSink;

use std::sync::Arc;

use fleuve_base::{Error, Result};
use fleuve_flow::source::{Scan, Source};
use fleuve_plan::SourceSpec;

/// The connector's name in a plan.
pub const CONNECTOR: &str = "$index";

/// Opens a table that is made of an index: `mode` says what of it is read.
pub(crate) fn open_source(indexes: &Indexes, spec: &SourceSpec, scan: Scan) -> Result<Arc<dyn Source>> {
    let index = indexes.open(required(spec, "index")?)?;
    index.catch_up()?;
    Ok(match required(spec, "mode")? {
        "histogram" => Arc::new(histogram::HistogramSource::new(index, scan)?),
        "extremes" => Arc::new(extremes::ExtremesSource::new(index, scan)),
        "olken" => Arc::new(draws::DrawSource::new(index, spec, scan)?),
        "stride" => {
            let seed = required(spec, "seed")?.parse().map_err(|_| Error::internal("a seed is no number"))?;
            Arc::new(stride::StrideSource::new(index, scan, seed)?)
        }
        mode => return Err(Error::internal(format!("an index has no mode `{mode}`"))),
    })
}

fn required<'a>(spec: &'a SourceSpec, key: &str) -> Result<&'a str> {
    spec.options.get(key).ok_or_else(|| Error::internal(format!("the plan names no '{key}' of an index")))
}

#[cfg(test)]
mod tests;
