//! `cargo xtask metrics`: the size and shape of the code that is not tests, against the targets.

use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, ExprMethodCall, ImplItemFn, ItemEnum, ItemFn, ItemImpl, ItemMod, ItemStruct, ItemTrait, Macro,
    Visibility,
};

use crate::files;

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Lines of each file.
    pub file_lines: Vec<usize>,
    /// Lines of each function.
    pub function_lines: Vec<usize>,
    /// Files that open with `//!`.
    pub files_documented: usize,
    /// Public items.
    pub public: usize,
    /// Public items with a docstring.
    pub public_documented: usize,
    /// Calls of `unwrap()`.
    pub unwraps: usize,
    /// `todo!` and `unimplemented!`.
    pub todos: usize,
    /// Lines of tests.
    pub test_lines: usize,
    /// Items without docs: file, line.
    pub undocumented: Vec<String>,
    /// Functions over the limit: file, line, lines.
    pub long_functions: Vec<String>,
    /// Places with `unwrap()`.
    pub unwrap_places: Vec<String>,
}

/// A target: name, what was measured, whether it holds.
pub struct Target {
    /// What is measured.
    pub name: &'static str,
    /// The measurement.
    pub measured: String,
    /// The goal.
    pub goal: &'static str,
    /// Whether the goal is met.
    pub met: bool,
}

/// Measures all crates under `root`.
pub fn measure(root: &Path) -> Metrics {
    let mut metrics = Metrics::default();
    for directory in ["crates", "xtask"] {
        for path in files::with_extension(&root.join(directory), "rs") {
            measure_file(root, &path, &mut metrics);
        }
    }
    metrics
}

fn measure_file(root: &Path, path: &Path, metrics: &mut Metrics) {
    let relative = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let text = files::text(path);
    let lines = text.lines().count();
    if is_test_file(&relative) {
        metrics.test_lines += lines;
        return;
    }
    let Ok(file) = syn::parse_file(&text) else { return };
    metrics.file_lines.push(lines);
    metrics.files_documented += usize::from(text.starts_with("//!"));
    Visitor { metrics, file: relative }.visit_file(&file);
}

/// Whether a path holds tests, what tests need, examples or benches.
pub fn is_test_file(relative: &str) -> bool {
    let directories = ["tests", "examples", "benches"];
    relative.split('/').any(|part| directories.contains(&part))
        || relative.ends_with("tests.rs")
        || relative.ends_with("testing.rs")
        || relative.ends_with("test.rs")
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let path = attribute.path();
        let listed = || attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string().contains("test"));
        (path.is_ident("cfg") && listed()) || path.segments.last().is_some_and(|s| s.ident == "test")
    })
}

fn has_doc(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("doc"))
}

/// Lines over which a function is listed.
const FUNCTION_LINES_MAX: usize = 70;

struct Visitor<'a> {
    metrics: &'a mut Metrics,
    file: String,
}

impl Visitor<'_> {
    fn public(&mut self, visibility: &Visibility, attributes: &[Attribute], span: proc_macro2::Span) {
        if matches!(visibility, Visibility::Public(_)) {
            self.metrics.public += 1;
            if has_doc(attributes) {
                self.metrics.public_documented += 1;
            } else {
                self.metrics.undocumented.push(format!("{}:{}", self.file, span.start().line));
            }
        }
    }

    fn function(&mut self, block: &Block) {
        let span = block.span();
        let lines = span.end().line.saturating_sub(span.start().line) + 1;
        self.metrics.function_lines.push(lines);
        if lines > FUNCTION_LINES_MAX {
            self.metrics.long_functions.push(format!("{}:{} ({lines} lines)", self.file, span.start().line));
        }
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if is_test(&item.attrs) || item.ident == "tests" {
            let span = item.span();
            self.metrics.test_lines += span.end().line - span.start().line + 1;
            return;
        }
        // A module's docs stand in its own file.
        visit::visit_item_mod(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_test(&item.attrs) {
            self.public(&item.vis, &item.attrs, item.sig.span());
            self.function(&item.block);
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test(&item.attrs) {
            self.public(&item.vis, &item.attrs, item.sig.span());
            self.function(&item.block);
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast ItemStruct) {
        self.public(&item.vis, &item.attrs, item.ident.span());
    }

    fn visit_item_enum(&mut self, item: &'ast ItemEnum) {
        self.public(&item.vis, &item.attrs, item.ident.span());
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.public(&item.vis, &item.attrs, item.ident.span());
        visit::visit_item_trait(self, item);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "unwrap" && call.args.is_empty() {
            self.metrics.unwraps += 1;
            self.metrics.unwrap_places.push(format!("{}:{}", self.file, call.method.span().start().line));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        let name = item.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        self.metrics.todos += usize::from(name == "todo" || name == "unimplemented");
    }
}

fn percentile(values: &[usize], percent: usize) -> usize {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0)
}

/// The targets and how the code stands to them.
pub fn targets(metrics: &Metrics) -> Vec<Target> {
    let function = |percent| percentile(&metrics.function_lines, percent);
    let file = |percent| percentile(&metrics.file_lines, percent);
    let at_most = |name, value: usize, goal: &'static str, limit: usize| Target {
        name,
        measured: value.to_string(),
        goal,
        met: value <= limit,
    };
    let all = |name, part: usize, whole: usize| Target {
        name,
        measured: format!("{part} of {whole}"),
        goal: "all",
        met: part == whole,
    };
    vec![
        at_most("function lines, p50", function(50), "<= 8", 8),
        at_most("function lines, p90", function(90), "<= 30", 30),
        at_most("function lines, p99", function(99), "<= 70", 70),
        at_most("file lines, p50", file(50), "<= 200", 200),
        at_most("file lines, p90", file(90), "<= 500", 500),
        at_most("file lines, max", file(100), "<= 1000", 1000),
        all("files that open with //!", metrics.files_documented, metrics.file_lines.len()),
        all("public items documented", metrics.public_documented, metrics.public),
        at_most("unwrap()", metrics.unwraps, "0", 0),
        at_most("todo!, unimplemented!", metrics.todos, "0", 0),
    ]
}

/// Prints the table; an error if a target is missed.
pub fn print(root: &Path) -> Result<(), String> {
    let metrics = measure(root);
    let code: usize = metrics.file_lines.iter().sum();
    println!("{} files, {code} lines, {} lines of tests", metrics.file_lines.len(), metrics.test_lines);
    let targets = targets(&metrics);
    for target in &targets {
        let mark = if target.met { "ok  " } else { "MISS" };
        println!("{mark} {:28} {:>14}   goal {}", target.name, target.measured, target.goal);
    }
    let lists = [
        ("long function", &metrics.long_functions),
        ("undocumented", &metrics.undocumented),
        ("unwrap", &metrics.unwrap_places),
    ];
    for (what, places) in lists {
        places.iter().for_each(|place| println!("     {what}: {place}"));
    }
    match targets.iter().filter(|target| !target.met).count() {
        0 => Ok(()),
        missed => Err(format!("{missed} targets are missed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_values() {
        assert_eq!(percentile(&[5, 1, 3], 50), 3);
        assert_eq!(percentile(&[5, 1, 3], 100), 5);
        assert_eq!(percentile(&[], 50), 0);
    }

    #[test]
    fn a_long_function_and_a_missing_doc_are_seen() {
        let source = format!("pub fn f() {{\n{}}}\nfn g() {{ x.unwrap(); }}", "    y();\n".repeat(80));
        let mut metrics = Metrics::default();
        let file = syn::parse_file(&source).expect("parses");
        Visitor { metrics: &mut metrics, file: "f.rs".to_owned() }.visit_file(&file);
        assert_eq!((metrics.long_functions.len(), metrics.undocumented.len(), metrics.unwraps), (1, 1, 1));
    }
}
