//! Whole configurations: every generation of every dialect, what each means, and the specification that platforms
//! validate them against.
//!
//! `fixtures/config/accepted/NAME.json` is a saved configuration and `NAME.native` what it means;
//! `fixtures/config/refused/NAME.json` is one that is known and not done, and `NAME.txt` what is said about it.
//! `cargo test --test config -- --ignored bless` writes the `.native` files anew.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate_config::{job::Job, job::Outcome};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("integration_tests/fixtures/config").join(name)
}

/// The configurations of a directory: file and text.
fn configurations(name: &str) -> Vec<(PathBuf, String)> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory(name))
        .expect("the directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no configurations in {name}");
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("a text"))).collect()
}

/// The translation as it is kept: the configuration, then the lines that are neither taken nor defaulted.
fn shown(text: &str) -> String {
    let translation = tollgate_config::translate(text.as_bytes()).expect("a translation");
    let mut shown = format!("{:#}\n", translation.config);
    for line in translation.provenance {
        if !matches!(line.outcome, Outcome::Taken | Outcome::Defaulted) {
            shown.push_str(&format!("{:?} {}: {}\n", line.outcome, line.path, line.note));
        }
    }
    shown
}

#[test]
fn every_generation_means_what_is_written_beside_it() {
    for (path, text) in configurations("accepted") {
        let expected = fs::read_to_string(path.with_extension("native")).expect("a .native file");
        assert_eq!(shown(&text), expected, "{}", path.display());
    }
}

#[test]
#[ignore = "writes the .native files"]
fn bless() {
    for (path, text) in configurations("accepted") {
        fs::write(path.with_extension("native"), shown(&text)).expect("written");
    }
}

/// Everything but provenance; secrets are masked by their type.
fn meaning(job: &Job) -> String {
    format!("{:?} {:?} {:?} {:?}", job.connection, job.streams, job.parallel_files, job.spending)
}

#[test]
fn a_translation_means_the_same_job() {
    for (path, text) in configurations("accepted") {
        let job = tollgate_config::parse(text.as_bytes()).expect("a job");
        let translation = tollgate_config::translate(text.as_bytes()).expect("a translation");
        let again =
            tollgate_config::parse(translation.config.to_string().as_bytes()).expect("a job from the translation");
        let masked = meaning(&job).replace("AKIAEXAMPLE000000001", "****");
        assert_eq!(meaning(&again), masked, "{}\n{:#}", path.display(), translation.config);
        let unknown =
            again.provenance.iter().find(|line| line.outcome != Outcome::Taken && line.outcome != Outcome::Defaulted);
        assert_eq!(unknown, None, "{}", path.display());
    }
}

#[test]
fn what_is_refused_is_named_and_translated_as_far_as_it_goes() {
    for (path, text) in configurations("refused") {
        let expected = fs::read_to_string(path.with_extension("txt")).expect("a .txt file");
        let error = tollgate_config::parse(text.as_bytes()).expect_err("refused");
        let got = format!("{:?}: {}", error.kind(), error.message());
        assert_eq!(got, expected.trim_end(), "{}", path.display());
        assert!(error.hint_text().is_some_and(|hint| !hint.is_empty()), "{}: no way out", path.display());
        // Only parameters are lines of a translation; a value that is refused leaves nothing to translate.
        if expected.contains("is not supported yet") || expected.contains("are not supported yet") {
            let translation = tollgate_config::translate(text.as_bytes());
            if let Ok(translation) = translation {
                assert!(
                    translation.provenance.iter().any(|line| line.outcome == Outcome::Refused),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

/// A platform validates a saved configuration before the program sees it.
#[test]
fn every_configuration_is_valid_by_the_specification() {
    let spec = tollgate_config::spec::source();
    let schema = &spec["connectionSpecification"];
    assert!(jsonschema::draft7::meta::is_valid(schema), "not a schema of draft 7");
    // `format` is a hint for forms: `date-time` stands beside a pattern that allows a date alone, as it always did.
    let options = jsonschema::draft7::options().should_validate_formats(false);
    let validator = options.build(schema).expect("a schema");
    for name in ["accepted", "refused"] {
        for (path, text) in configurations(name) {
            let config: Value = serde_json::from_str(&text).expect("JSON");
            let errors: Vec<String> = validator.iter_errors(&config).map(|error| error.to_string()).collect();
            // A format that is refused is no variant of the specification.
            let of_format = errors.iter().all(|_| text.contains("\"avro\""));
            assert!(errors.is_empty() || of_format, "{}: {errors:?}", path.display());
            let native = tollgate_config::translate(text.as_bytes());
            if let Ok(native) = native {
                let errors: Vec<String> =
                    validator.iter_errors(&native.config).map(|error| error.to_string()).collect();
                assert!(errors.is_empty(), "translation of {}: {errors:?}", path.display());
            }
        }
    }
    for wrong in [
        json!({"bucket": 1}),
        json!({"streams": {}}),
        json!({"streams": [{"name": "s", "format": {"filetype": "cvs"}}]}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn the_specification_has_what_the_protocol_asks_for() {
    let spec = tollgate_config::spec::source();
    assert_eq!(spec["protocol_version"], "0.2.0");
    assert_eq!(spec["supportsIncremental"], true);
    assert!(spec["documentationUrl"].as_str().is_some_and(|url| url.starts_with("https://")));
    let root = &spec["connectionSpecification"];
    assert_eq!(root["type"], "object");
    assert!(root.get("required").is_none() && root.get("oneOf").is_none(), "each dialect needs other keys");
    let groups: Vec<&str> =
        root["groups"].as_array().expect("groups").iter().filter_map(|group| group["id"].as_str()).collect();
    for (name, property) in root["properties"].as_object().expect("properties") {
        if let Some(group) = property.get("group") {
            assert!(groups.contains(&group.as_str().expect("a text")), "{name} is in the group {group}");
        }
    }
}

/// What the standard test suites of platforms demand of a specification.
#[test]
fn the_specification_passes_the_lint_of_the_standard_tests() {
    let spec = tollgate_config::spec::source();
    let mut complaints = Vec::new();
    lint(&spec["connectionSpecification"], "", &mut complaints);
    assert!(complaints.is_empty(), "{complaints:#?}");
}

const FORBIDDEN: &[&str] = &[
    "not",
    "anyOf",
    "patternProperties",
    "prefixItems",
    "allOf",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependentRequired",
    "$ref",
    "$defs",
    "definitions",
];

fn lint(schema: &Value, path: &str, complaints: &mut Vec<String>) {
    let Some(object) = schema.as_object() else { return complaints.push(format!("{path}: not an object")) };
    let mut complain = |text: String| complaints.push(format!("{path}: {text}"));
    for keyword in FORBIDDEN.iter().filter(|keyword| object.contains_key(**keyword)) {
        complain(format!("has {keyword}"));
    }
    if object.get("additionalProperties") == Some(&Value::Bool(false)) {
        complain("additionalProperties is false".to_owned());
    }
    if !object.get("type").is_some_and(Value::is_string) {
        complain("no single type".to_owned());
    }
    let values = object.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
    if values.iter().enumerate().any(|(index, value)| values[..index].contains(value)) {
        complain("an enum has a value twice".to_owned());
    }
    if !path.is_empty() && !object.contains_key("const") && !path.ends_with("[]") && !object.contains_key("title") {
        complain("no title".to_owned());
    }
    if !path.is_empty() && !object.contains_key("const") && !path.ends_with("[]") && !object.contains_key("description")
    {
        complain("no description".to_owned());
    }
    if object.get("format").is_some_and(|format| format == "date" || format == "date-time")
        && !object.contains_key("pattern")
    {
        complain("a date without a pattern".to_owned());
    }
    if let Some(variants) = object.get("oneOf").and_then(Value::as_array) {
        lint_variants(object, variants, path, complaints);
    } else if object.get("type") == Some(&json!("object"))
        && object.get("properties").and_then(Value::as_object).is_none_or(|p| p.is_empty())
    {
        complaints.push(format!("{path}: an object without properties"));
    }
    if let Some(items) = object.get("items") {
        lint(items, &format!("{path}[]"), complaints);
    }
    let mut orders = Vec::new();
    for (name, property) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
        lint_secret(name, property, path, complaints);
        if let Some(order) = property.get("order") {
            if orders.contains(order) {
                complaints.push(format!("{path}.{name}: order {order} twice"));
            }
            orders.push(order.clone());
        }
        lint(property, &format!("{path}.{name}"), complaints);
    }
}

fn lint_variants(
    object: &serde_json::Map<String, Value>,
    variants: &[Value],
    path: &str,
    complaints: &mut Vec<String>,
) {
    if object.get("type") != Some(&json!("object")) {
        complaints.push(format!("{path}: oneOf outside an object"));
    }
    let mut tags = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let properties = variant["properties"].as_object().cloned().unwrap_or_default();
        let constants: Vec<_> = properties.iter().filter(|(_, property)| property.get("const").is_some()).collect();
        let [(tag, constant)] = constants.as_slice() else {
            complaints.push(format!("{path}: variant {index} has {} constants", constants.len()));
            continue;
        };
        if constant.get("default").is_some() || constant.get("enum").is_some() {
            complaints.push(format!("{path}: the constant of variant {index} has a default or an enum"));
        }
        tags.push((tag.to_string(), constant["const"].clone()));
        lint(variant, &format!("{path}<{}>", constant["const"]), complaints);
    }
    let same_name = tags.iter().all(|(tag, _)| *tag == tags[0].0);
    let distinct =
        tags.iter().enumerate().all(|(index, (_, value))| tags[..index].iter().all(|(_, other)| other != value));
    if !same_name || !distinct {
        complaints.push(format!("{path}: the variants cannot be told apart: {tags:?}"));
    }
}

fn lint_secret(name: &str, property: &Value, path: &str, complaints: &mut Vec<String>) {
    let suffixes =
        ["_token", "_secret", "password", "api_key", "secret_key", "private_key", "access_key", "pass_phrase"];
    let secret = name == "token"
        || name == "secret"
        || name == "access_key_secret"
        || suffixes.iter().any(|suffix| name.ends_with(suffix));
    if secret && property.get("airbyte_secret") != Some(&Value::Bool(true)) {
        complaints.push(format!("{path}.{name}: not flagged as a secret"));
    }
}

/// `spec` answers at once: the embedded text is read, nothing is generated.
#[test]
fn the_specification_is_small() {
    let size = tollgate_config::spec::source().to_string().len();
    assert!(size < 64 * 1024, "{size} bytes; a platform reads it within 2 MiB of output");
}
