//! The functions by name.
//!
//! Flink's functions come first; of DataFusion's, those that Flink does not define otherwise and that are pure: what
//! reads a clock or a random source is not here, since a pipeline is a function of its journal.

use std::sync::{Arc, LazyLock};

use datafusion_expr::{ScalarUDF, Volatility};
use hashbrown::HashMap;

use crate::aggregate::summary::SUMMARIES;
use crate::scalar::{Function, specs};

/// What there is to know about a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documentation {
    /// The canonical name, in small letters.
    pub name: String,
    /// How it is written.
    pub signature: String,
    /// One line on what it does.
    pub summary: String,
    /// An example and its result; empty for functions that are DataFusion's, and for aggregates.
    pub example: String,
}

struct Registry {
    by_name: HashMap<String, Arc<ScalarUDF>, foldhash::fast::FixedState>,
    names: Vec<String>,
    documentation: Vec<Documentation>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// Other names of DataFusion's functions.
const ALIASES: [(&str, &str); 4] = [
    ("startswith", "starts_with"),
    ("endswith", "ends_with"),
    ("array_contains", "array_has"),
    ("array", "make_array"),
];

/// DataFusion's functions that make no sense in a stream's query, or whose meaning here is another's.
const LEFT_OUT: [&str; 9] = [
    "arrow_metadata",
    "arrow_field",
    "with_metadata",
    "file_row_index",
    "input_file_name",
    "version",
    "to_char",
    "to_local_time",
    "to_unixtime",
];

impl Registry {
    fn new() -> Self {
        let ours = specs().map(|spec| Arc::new(ScalarUDF::from(Function::new(spec))));
        let theirs = datafusion_functions::all_default_functions()
            .into_iter()
            .chain(datafusion_functions_nested::all_default_nested_functions())
            .filter(|udf| udf.signature().volatility == Volatility::Immutable && !LEFT_OUT.contains(&udf.name()));
        let mut registry = Registry { by_name: HashMap::default(), names: vec![], documentation: vec![] };
        specs().for_each(|spec| {
            registry.documentation.push(Documentation {
                name: spec.name.to_string(),
                signature: spec.usage.to_string(),
                summary: spec.summary.to_string(),
                example: spec.example.to_string(),
            });
        });
        registry.documentation.extend(SUMMARIES.iter().map(|spec| Documentation {
            name: spec.name.to_string(),
            signature: spec.usage.to_string(),
            summary: spec.summary.to_string(),
            example: String::new(),
        }));
        ours.for_each(|udf| registry.add(&udf));
        theirs.for_each(|udf| registry.add_theirs(&udf));
        for (alias, name) in ALIASES {
            if let Some(udf) = registry.by_name.get(name).cloned() {
                registry.by_name.entry(alias.to_string()).or_insert(udf);
            }
        }
        registry.names = registry.by_name.keys().cloned().collect();
        registry.names.sort_unstable();
        registry.documentation.sort_by(|a, b| a.name.cmp(&b.name));
        registry
    }

    fn add(&mut self, udf: &Arc<ScalarUDF>) {
        for name in std::iter::once(udf.name()).chain(udf.aliases().iter().map(String::as_str)) {
            self.by_name.entry(name.to_lowercase()).or_insert_with(|| Arc::clone(udf));
        }
    }

    /// A function whose own name is taken by one of ours is not needed at all.
    fn add_theirs(&mut self, udf: &Arc<ScalarUDF>) {
        if self.by_name.contains_key(udf.name()) {
            return;
        }
        self.add(udf);
        let documentation = udf.documentation();
        self.documentation.push(Documentation {
            name: udf.name().to_string(),
            signature: documentation.map_or_else(|| format!("{}(…)", udf.name()), |d| d.syntax_example.clone()),
            summary: documentation.map_or_else(String::new, |d| first_sentence(&d.description)),
            example: String::new(),
        });
    }
}

fn first_sentence(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    line.split_inclusive(". ").next().unwrap_or(line).trim().to_string()
}

/// The scalar function with this name, in any case. Its own `name()` is the canonical one.
pub fn scalar(name: &str) -> Option<Arc<ScalarUDF>> {
    let found = REGISTRY.by_name.get(name).or_else(|| REGISTRY.by_name.get(&name.to_lowercase()));
    found.cloned()
}

/// All names of scalar functions, aliases too, in order.
pub fn scalar_names() -> Vec<&'static str> {
    REGISTRY.names.iter().map(String::as_str).collect()
}

/// The table of functions, by name.
pub fn documentation() -> &'static [Documentation] {
    &REGISTRY.documentation
}

/// Whether a function gives a value for every row, so that it may be computed for rows that do not need it.
pub(crate) fn is_total(name: &str) -> bool {
    specs().any(|spec| spec.name == name && spec.total) || TOTAL.contains(&name)
}

/// DataFusion's functions that cannot fail for a row.
const TOTAL: [&str; 8] = ["lower", "upper", "btrim", "ltrim", "rtrim", "starts_with", "ends_with", "contains"];
