//! Generates the messages of Kafka's protocol from the tables in `messages/`.
//!
//! Two files come out: `messages.rs` with a module per message, and `apis.rs` with what ranges over all APIs
//! (`ApiKey`, `Request`, `Response`). `table.rs` explains the tables.

mod apis;
mod emit;
mod structs;
mod table;

use std::path::Path;
use std::{env, fs};

fn main() {
    if let Err(problem) = generate() {
        eprintln!("{problem}");
        std::process::exit(1);
    }
}

fn generate() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=messages");
    let out = env::var("OUT_DIR").map_err(|e| format!("OUT_DIR: {e}"))?;
    let mut tables = tables(Path::new("messages"))?;
    tables.sort_by(|a, b| (&a.api, &a.messages[0].name).cmp(&(&b.api, &b.messages[0].name)));
    let modules: Vec<String> = tables.iter().flat_map(|table| &table.messages).map(structs::module).collect();
    write(&out, "messages.rs", &modules.join("\n"))?;
    write(&out, "apis.rs", &apis::source(&tables))
}

fn tables(directory: &Path) -> Result<Vec<table::Table>, String> {
    let mut paths = vec![];
    for entry in fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))? {
        paths.push(entry.map_err(|e| e.to_string())?.path());
    }
    let parse = |path: &std::path::PathBuf| {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        table::parse(&text).map_err(|problem| format!("{}:{problem}", path.display()))
    };
    paths.iter().map(parse).collect()
}

fn write(directory: &str, name: &str, text: &str) -> Result<(), String> {
    let path = Path::new(directory).join(name);
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}
