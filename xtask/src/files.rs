//! Finding the project's files.

use std::path::{Path, PathBuf};

/// Directories that hold no sources of ours.
const SKIPPED: [&str; 4] = ["target", ".git", "fleuve-data", "node_modules"];

/// The root of the workspace.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// All files below a directory whose name ends in `.extension`, sorted.
pub fn with_extension(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    collect(directory, extension, &mut found);
    found.sort();
    found
}

fn collect(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            collect(&path, extension, found);
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
}

/// A file's text; empty if it cannot be read.
pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
