//! Who may use whom: the map of the house, checked against every `use` and path in `src/`.
//!
//! An edge that is not in the table fails here. If the edge is right, change the table in the same change.

#![expect(clippy::unwrap_used, reason = "a test panics with what it met")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Usable by all.
const BASE: &[&str] = &[
    "object",
    "batch",
    "options",
    "predicate",
    "error",
    "json_string",
    "calendar",
    "python_number",
    "simd",
    "spending",
];

/// Room → what it may use besides the base and itself. `*` is everything. `config::job` is narrower than `config`.
const EDGES: &[(&str, &[&str])] = &[
    ("main", &["*"]),
    ("cli", &[]),
    ("command", &["*"]),
    ("config", &[]),
    ("plan", &["cost", "cursor", "config::job"]),
    ("cost", &[]),
    ("cursor", &[]),
    ("s3", &["cost", "clock", "memory", "config::job::connection"]),
    ("format", &["memory"]),
    ("record", &["protocol::schema"]),
    ("read", &["plan", "cursor", "cost", "s3", "format", "record", "protocol", "clock", "memory", "config::job"]),
    ("write", &["plan", "cursor", "cost", "s3", "format", "record", "protocol", "clock", "memory", "config::job"]),
    ("protocol", &[]),
    ("clock", &[]),
    ("memory", &[]),
    ("object", &[]),
    ("batch", &[]),
    ("options", &[]),
    ("predicate", &[]),
    ("error", &[]),
    ("json_string", &[]),
    ("calendar", &[]),
    ("python_number", &[]),
    ("simd", &[]),
    ("spending", &[]),
];

/// Rooms that are pure: plain values in, plain values out.
const PURE: &[&str] =
    &["config", "plan", "cost", "cursor", "format", "record", "object", "batch", "options", "predicate", "spending"];

/// What a pure room must not name.
const IMPURE: &[&str] =
    &["tokio::", "async fn", ".await", "std::env::", "SystemTime", "Instant::now", "std::fs::", "std::net::"];

struct SourceFile {
    room: String,
    path: PathBuf,
    text: String,
}

fn source_files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(found.len() > 30, "only {} files were found below {}", found.len(), root.display());
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<SourceFile>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inside = path.strip_prefix(root).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
            let room = first.trim_end_matches(".rs").to_owned();
            if room != "lib" {
                found.push(SourceFile { room, text: code(&path), path });
            }
        }
    }
}

/// The file without comments and without its tests, which may use what they need.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let is_test_file =
        path.file_name().is_some_and(|name| name == "tests.rs") || path.components().any(|c| c.as_os_str() == "tests");
    if is_test_file {
        return String::new();
    }
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    match lines.find("#[cfg(test)]\nmod tests {") {
        Some(tests) => lines[..tests].to_owned(),
        None => lines,
    }
}

/// Every `crate::a::b` of a text, groups included.
fn uses(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in ["crate::", "tollgate::"] {
        for (at, _) in text.match_indices(start) {
            let rest = &text[at + start.len()..];
            match rest.strip_prefix('{') {
                Some(group) => {
                    let group = &group[..group.find('}').unwrap_or(group.len())];
                    found.extend(group.split(',').map(|path| head(path.trim())).filter(|path| !path.is_empty()));
                }
                None => _ = found.insert(head(rest)),
            }
        }
    }
    found
}

fn head(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
        .collect::<String>()
        .trim_end_matches(':')
        .to_owned()
}

fn allowed(room: &str, used: &str) -> bool {
    let (_, edges) =
        EDGES.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("'{room}' is not in the table of rooms"));
    let covers =
        |permitted: &str| used == permitted || used.strip_prefix(permitted).is_some_and(|rest| rest.starts_with("::"));
    covers(room) || BASE.iter().any(|base| covers(base)) || edges.iter().any(|edge| *edge == "*" || covers(edge))
}

#[test]
fn rooms_use_only_what_the_map_allows() {
    let mut wrong: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    for file in source_files() {
        assert!(EDGES.iter().any(|(room, _)| *room == file.room), "'{}' is not in the table of rooms", file.room);
        for used in uses(&file.text) {
            // `crate::Name` without a room is the library's root.
            let is_room = EDGES.iter().any(|(name, _)| used == *name || used.starts_with(&format!("{name}::")));
            if is_room && !allowed(&file.room, &used) {
                wrong.entry(file.path.clone()).or_default().push(used);
            }
        }
    }
    assert!(wrong.is_empty(), "these uses are not on the map: {wrong:#?}");
}

#[test]
fn the_check_sees_a_forbidden_use() {
    let used = uses("use crate::{s3::Store, error::Result};\nlet x = crate::clock::Clock::System;");
    assert_eq!(
        used.iter().map(String::as_str).collect::<Vec<_>>(),
        ["clock::Clock::System", "error::Result", "s3::Store"]
    );
    assert!(!allowed("plan", "s3::Store"));
    assert!(!allowed("s3", "config::job::Stream"));
    assert!(allowed("s3", "config::job::connection::Secret"));
    assert!(allowed("plan", "error::Result"));
}

#[test]
fn pure_rooms_have_no_clock_network_or_environment() {
    for file in source_files().iter().filter(|file| PURE.contains(&file.room.as_str())) {
        for word in IMPURE {
            assert!(!file.text.contains(word), "'{word}' in {}", file.path.display());
        }
    }
}

#[test]
fn only_the_sink_writes_to_stdout() {
    for file in source_files() {
        let is_sink = file.path.ends_with("protocol/sink.rs");
        for word in ["println!", "print!(", "eprintln!", "eprint!(", "io::stdout()"] {
            let watches = word == "io::stdout()" && file.path.ends_with("command/read.rs");
            assert!(is_sink || watches || !file.text.contains(word), "'{word}' in {}", file.path.display());
        }
    }
}

#[test]
fn only_the_door_knows_the_sdk() {
    for file in source_files().iter().filter(|file| file.room != "s3") {
        for crate_name in ["aws_sdk", "aws_config", "aws_smithy", "aws_types", "aws_credential"] {
            assert!(!file.text.contains(crate_name), "{crate_name} is named in {}", file.path.display());
        }
    }
}
