//! `cargo xtask tidy`: conventions as a test.

use std::collections::BTreeMap;
use std::path::Path;

use crate::files;
use crate::metrics;

/// What may lie in the root.
const ROOT: [&str; 26] = [
    ".cargo",
    ".ci",
    ".git",
    ".gitattributes",
    ".gitignore",
    ".github",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "GUARANTEES.md",
    "LICENSE",
    "NOTICE",
    "README.md",
    "chaos",
    "clippy.toml",
    "crates",
    "docs",
    "examples",
    "fleuve-data",
    "fuzz",
    "rustfmt.toml",
    "slt",
    "target",
    "xtask",
    "rust-toolchain.toml",
];

/// The layers from the bottom up; a crate may depend on crates of lower layers, or on those listed before it in its own.
const LAYERS: [&[&str]; 8] = [
    &["base"],
    &["record", "format", "wire", "sketch"],
    &["journal", "state", "plan"],
    &["functions"],
    &["flow", "sql", "broker"],
    &["connect"],
    &["server"],
    &["fleuve"],
];

/// Crates of one layer that may know each other: (user, used).
const SIDEWAYS: [(&str, &str); 0] = [];

/// External crates that only some of ours may name.
const RESERVED: [(&str, &[&str]); 2] = [("timely", &["flow"]), ("datafusion-", &["sql", "functions", "flow"])];

/// Lines of ARCHITECTURE.md.
const ARCHITECTURE_LINES_MAX: usize = 300;

/// All checks; the error lists every violation.
pub fn check(root: &Path) -> Result<(), String> {
    let mut problems = vec![];
    problems.extend(unexpected_in_root(root));
    problems.extend(layers(root));
    problems.extend(judge(root));
    problems.extend(sources(root));
    problems.extend(promises(root));
    problems.extend(codes(root));
    problems.extend(architecture(root));
    match problems.len() {
        0 => Ok(()),
        _ => Err(problems.join("\n")),
    }
}

fn unexpected_in_root(root: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter(|name| !ROOT.contains(&name.as_str()))
        .map(|name| format!("{name}: not expected in the root"))
        .collect()
}

fn layer(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}

/// The dependencies that a manifest names, without those for tests.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[").find(|s| s.starts_with("dependencies]") || s.starts_with("[dependencies]"));
    let lines = section.unwrap_or("").lines().skip(1);
    lines
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|n| !n.is_empty() && !n.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn layers(root: &Path) -> Vec<String> {
    let mut problems = vec![];
    for (name, manifest) in manifests(root) {
        let Some(own) = layer(&name) else {
            problems.push(format!("crates/{name}: in no layer (ARCHITECTURE.md, and LAYERS in xtask/src/tidy.rs)"));
            continue;
        };
        for dependency in dependencies(&manifest) {
            let used = dependency.strip_prefix("fleuve-").unwrap_or("");
            let allowed = layer(used).is_none_or(|other| other < own) || SIDEWAYS.contains(&(name.as_str(), used));
            if !allowed {
                problems.push(format!("crates/{name}: may not depend on {dependency} (arrows only downwards)"));
            }
            let reserved = RESERVED
                .iter()
                .find(|(prefix, users)| dependency.starts_with(prefix) && !users.contains(&name.as_str()));
            if let Some((_, users)) = reserved {
                problems.push(format!("crates/{name}: only {} may depend on {dependency}", users.join(", ")));
            }
        }
    }
    problems
}

/// What tortures the binary judges it, and so shares only the codecs with it (docs/adr/0010).
fn judge(root: &Path) -> Vec<String> {
    let named = dependencies(&files::text(&root.join("chaos/Cargo.toml")));
    let ours = named.iter().filter_map(|name| name.strip_prefix("fleuve-"));
    ours.filter(|name| !["base", "record", "wire"].contains(name))
        .map(|name| format!("chaos: may not depend on fleuve-{name} (docs/adr/0010)"))
        .collect()
}

fn manifests(root: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(root.join("crates")).into_iter().flatten().flatten();
    let named = entries.map(|entry| {
        let text = files::text(&entry.path().join("Cargo.toml"));
        (entry.file_name().to_string_lossy().into_owned(), text)
    });
    named.collect()
}

/// Every source opens with its docs, and none is longer than the limit or names what does not belong to the project.
fn sources(root: &Path) -> Vec<String> {
    let mut problems = vec![];
    for path in files::with_extension(root, "rs") {
        let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let text = files::text(&path);
        if !text.starts_with("//!") {
            problems.push(format!("{relative}: does not open with //! docs"));
        }
        if text.lines().count() > 1000 {
            problems.push(format!("{relative}: more than 1000 lines"));
        }
        if !metrics::is_test_file(&relative) && text.contains(concat!("todo", "!(")) {
            problems.push(format!("{relative}: has a {}", concat!("todo", "!")));
        }
    }
    problems
}

/// Every test that GUARANTEES.md names in backquotes after `test:` exists.
fn promises(root: &Path) -> Vec<String> {
    let guarantees = files::text(&root.join("GUARANTEES.md"));
    let sources: String = files::with_extension(root, "rs").iter().map(|path| files::text(path)).collect();
    let named = guarantees.split("test: `").skip(1).filter_map(|rest| rest.split('`').next());
    named
        .filter(|name| !sources.contains(&format!("fn {name}(")))
        .map(|name| format!("GUARANTEES.md: the test {name} does not exist"))
        .collect()
}

/// Every code of an error is one that `fleuve help` can explain.
fn codes(root: &Path) -> Vec<String> {
    let registry = files::text(&root.join("crates/base/src/codes.rs"));
    let registry = codes_in(&registry);
    let mut problems = vec![];
    for path in files::with_extension(&root.join("crates"), "rs") {
        let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if metrics::is_test_file(&relative) {
            continue;
        }
        let text = files::text(&path);
        let unknown = codes_in(&text).into_iter().filter(|code| !registry.contains(code));
        problems.extend(unknown.map(|code| format!("{relative}: {code} is not in crates/base/src/codes.rs")));
    }
    problems
}

/// The string literals that are a code: a letter and three digits.
fn codes_in(text: &str) -> Vec<&str> {
    let is_code = |word: &&str| {
        let digits = word.strip_prefix(['E', 'W']).unwrap_or("");
        digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split('"').filter(is_code).collect()
}

fn architecture(root: &Path) -> Vec<String> {
    let lines = files::text(&root.join("ARCHITECTURE.md")).lines().count();
    match lines {
        0 => vec!["ARCHITECTURE.md is missing".to_owned()],
        n if n > ARCHITECTURE_LINES_MAX => {
            vec![format!("ARCHITECTURE.md has {n} lines, more than {ARCHITECTURE_LINES_MAX}")]
        }
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_keeps_its_conventions() {
        if let Err(problems) = check(&files::root()) {
            panic!("{problems}");
        }
    }

    #[test]
    fn codes_are_read_from_string_literals_only() {
        let text = "Error::input(\"E012\", \"an E013 in prose\") // E014\nwarning(\"W103\")";
        assert_eq!(codes_in(text), ["E012", "W103"]);
    }

    #[test]
    fn dependencies_are_read_from_their_section_only() {
        let manifest = "[package]\nname = \"x\"\n\n[dependencies]\nfleuve-base.workspace = true\ntimely = \"1\"\n\n[dev-dependencies]\nfleuve-sql.workspace = true\n";
        assert_eq!(dependencies(manifest), ["fleuve-base", "timely"]);
    }
}
