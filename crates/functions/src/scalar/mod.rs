//! Flink's scalar functions over Arrow arrays.
//!
//! Every function is one [`Spec`]: its names, what it takes and gives, its documentation, and a kernel over whole
//! columns. [`Function`] makes a DataFusion function of it. Strings are `Utf8`; timestamps keep their unit, and one with
//! a zone (TIMESTAMP_LTZ) is read in the session's time zone.

mod args;
mod collection;
mod conditional;
mod encoding;
mod function;
mod json;
mod math;
mod regex;
mod round;
mod sketch;
mod text;
mod time;
mod url;

pub(crate) use args::finish_texts;
pub(crate) use function::{Function, Spec, type_name};
pub(crate) use time::{Instants, Zone, per_second, standard};

/// All functions of our own.
pub(crate) fn specs() -> impl Iterator<Item = &'static Spec> {
    let modules: [&'static [Spec]; 14] = [
        collection::FUNCTIONS,
        conditional::FUNCTIONS,
        encoding::FUNCTIONS,
        json::FUNCTIONS,
        math::FUNCTIONS,
        regex::FUNCTIONS,
        round::FUNCTIONS,
        sketch::FUNCTIONS,
        text::SEARCH,
        text::SHAPE,
        time::CONVERSIONS,
        time::FORMATS,
        time::PARTS,
        url::FUNCTIONS,
    ];
    modules.into_iter().flatten()
}
