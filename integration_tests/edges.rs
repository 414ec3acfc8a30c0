//! The rules of the house that Cargo does not check by itself.
//!
//! Which crate may use which stands in the crates' `Cargo.toml`. What a pure crate may not use, and who may touch
//! standard output, is checked here.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Crates that turn plain values into plain values.
const PURE: &[&str] = &["base", "config", "cost", "cursor", "format", "plan", "record"];

/// Dependencies that a pure crate must not have.
const IMPURE_DEPENDENCIES: &[&str] = &["tokio", "aws-", "rustix", "signal-hook", "tollgate-runtime", "tollgate-s3"];

/// What a pure crate must not name: std offers these to everyone.
const IMPURE_NAMES: &[&str] =
    &["async fn", ".await", "std::env::", "SystemTime", "Instant::now", "std::fs::", "std::net::"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a folder, without comments and without tests, which may use what they need.
fn source_files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(folder, &mut found);
    assert!(!found.is_empty(), "no source files below {}", folder.display());
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.clone(), code(&path)));
        }
    }
}

fn code(path: &Path) -> String {
    let name = path.file_name().unwrap().to_string_lossy();
    let in_tests = path.components().any(|component| component.as_os_str() == "tests");
    if in_tests || name == "tests.rs" || name.ends_with("_tests.rs") {
        return String::new();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    match lines.find("#[cfg(test)]\nmod tests {") {
        Some(tests) => lines[..tests].to_owned(),
        None => lines,
    }
}

/// The names in the tables `[dependencies]` and `[target.….dependencies]` of a crate.
fn dependencies(manifest: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-");
        } else if inside && !line.starts_with('#') {
            found.extend(line.split(['=', '.', ' ']).next().filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    found
}

/// Reading a file ends with batches. Records, messages and dead letters are made of them elsewhere.
#[test]
fn files_are_read_without_knowing_what_becomes_of_their_rows() {
    let consumers = ["tollgate_record", "tollgate_protocol::sink", "serde_json", "crate::deliver", "crate::verbs"];
    for (path, code) in source_files(&root().join("crates/read/src/files")) {
        let used = consumers.iter().find(|name| code.contains(**name));
        assert!(used.is_none(), "{} uses {used:?}", path.display());
    }
}

#[test]
fn pure_crates_depend_on_nothing_that_waits_or_connects() {
    for name in PURE {
        let manifest = std::fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
        let dependencies = dependencies(&manifest);
        assert!(!dependencies.is_empty(), "no dependencies found in crate '{name}'");
        for dependency in dependencies {
            let impure = IMPURE_DEPENDENCIES.iter().find(|impure| dependency.starts_with(**impure));
            assert!(impure.is_none(), "the pure crate '{name}' depends on '{dependency}'");
        }
    }
}

#[test]
fn the_check_of_dependencies_sees_a_forbidden_one() {
    let manifest =
        "[dependencies]\nbytes.workspace = true\ntokio = { version = \"1\" }\n[dev-dependencies]\nanyhow = \"1\"\n";
    assert_eq!(dependencies(manifest), ["bytes", "tokio"]);
}

#[test]
fn pure_crates_have_no_clock_network_or_environment() {
    for name in PURE {
        for (path, text) in source_files(&root().join("crates").join(name).join("src")) {
            for word in IMPURE_NAMES {
                assert!(!text.contains(word), "'{word}' in {}", path.display());
            }
        }
    }
}

#[test]
fn only_the_sink_writes_to_stdout() {
    let mut files = source_files(&root().join("src"));
    files.extend(source_files(&root().join("crates")));
    for (path, text) in files {
        let is_sink = path.ends_with("protocol/src/sink.rs");
        for word in ["println!", "print!(", "eprintln!", "eprint!(", "io::stdout()"] {
            let watches = word == "io::stdout()" && path.ends_with("command/read.rs");
            assert!(is_sink || watches || !text.contains(word), "'{word}' in {}", path.display());
        }
    }
}

/// The names of the public types that a file declares.
fn public_types(code: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for line in code.lines() {
        let mut words = line.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        if let (Some("pub"), Some("struct" | "enum" | "trait" | "type"), Some(name)) =
            (words.next(), words.next(), words.next())
        {
            found.insert(name);
        }
    }
    found
}

/// A type may be declared twice in one file, for two platforms.
#[test]
fn no_name_stands_for_two_public_types() {
    let mut files = source_files(&root().join("src"));
    files.extend(source_files(&root().join("crates")));
    let mut declared = BTreeMap::new();
    for (path, code) in &files {
        for name in public_types(code) {
            let other = declared.insert(name, path);
            assert!(other.is_none(), "'{name}' in {} and in {}", path.display(), other.unwrap().display());
        }
    }
    assert!(declared.len() > 100, "only {} types were found", declared.len());
}
