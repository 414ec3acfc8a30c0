//! `translate`: how a configuration is understood, for people.

use serde_json::{Value, json};

use super::Ending;
use super::ending::told;
use super::output::print;
use super::setup::read_file;
use crate::cli::{OutputFormat, TranslateFiles};
use tollgate_base::error::Result;
use tollgate_config::Translation;
use tollgate_config::job::{Outcome, Provenance};

/// Characters of a note in the table; a longer one is cut. The JSON form has all of it.
const NOTE: usize = 100;

/// A configuration that other verbs would refuse is a failure here too, once everything about it is said.
pub(super) fn run(files: &TranslateFiles) -> Ending {
    let translation = match translation(files) {
        Ok(translation) => translation,
        Err(error) => return told(&error, files.shown.format()),
    };
    print(&match files.shown.format() {
        OutputFormat::Table => table(&translation),
        OutputFormat::Json => format!("{:#}\n", document(&translation)),
    });
    let refused = translation.provenance.iter().any(|line| line.outcome == Outcome::Refused);
    if refused { Ending::Failure } else { Ending::Success }
}

fn translation(files: &TranslateFiles) -> Result<Translation> {
    tollgate_config::translate(&read_file(&files.config, "configuration")?)
}

fn document(translation: &Translation) -> Value {
    let line = |line: &Provenance| json!({"parameter": line.path, "understood": word(line.outcome), "note": line.note});
    let parameters: Vec<Value> = translation.provenance.iter().map(line).collect();
    json!({"parameters": parameters, "config": translation.config})
}

/// The lines under each other, the configuration, and what would keep it from being used.
fn table(translation: &Translation) -> String {
    let lines = &translation.provenance;
    let width = |texts: &mut dyn Iterator<Item = &str>| texts.map(|text| text.chars().count()).max().unwrap_or(0);
    let path_width = width(&mut lines.iter().map(|line| line.path.as_str()).chain(["PARAMETER"]));
    let word_width = width(&mut lines.iter().map(|line| word(line.outcome)).chain(["UNDERSTOOD"]));
    let row = |path: &str, word: &str, note: &str| {
        format!("{path:path_width$}  {word:word_width$}  {note}").trim_end().to_owned() + "\n"
    };
    let mut text = row("PARAMETER", "UNDERSTOOD", "NOTE");
    text.extend(lines.iter().map(|line| row(&line.path, word(line.outcome), &short(&line.note))));
    text.push_str(&format!("\nThe same configuration in the native form, secrets masked:\n{:#}\n", translation.config));
    let refused: Vec<&str> =
        lines.iter().filter(|line| line.outcome == Outcome::Refused).map(|line| line.path.as_str()).collect();
    if !refused.is_empty() {
        let names = refused.join(", ");
        text.push_str(&format!(
            "\nThe configuration cannot be used, because these parameters are not supported: \
                                {names}\n"
        ));
    }
    text
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Taken => "taken",
        Outcome::Defaulted => "default",
        Outcome::Renamed => "changed",
        Outcome::Unknown => "no effect",
        Outcome::Refused => "refused",
    }
}

/// A note in one line.
fn short(note: &str) -> String {
    let line = note.replace(['\n', '\r', '\t'], " ");
    match line.char_indices().nth(NOTE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{"bucket": "b", "prefix": "raw/", "access_key": "AKIAEXAMPLE", "secret_key": "verysecretkey",
        "odd": 1, "file_format": "csv", "note": "verysecretkey"}"#;

    #[test]
    fn a_table_shows_each_parameter_and_the_native_form_without_secrets() {
        let text = table(&tollgate_config::translate(CONFIG.as_bytes()).unwrap());
        let words = |path: &str| {
            let line = text.lines().find(|line| line.starts_with(path)).unwrap_or_else(|| panic!("{path}: {text}"));
            line.split_whitespace().nth(1).map(str::to_owned)
        };
        assert_eq!(words("bucket").as_deref(), Some("taken"));
        assert_eq!(words("prefix").as_deref(), Some("changed"));
        assert_eq!(words("odd").as_deref(), Some("no"));
        assert_eq!(words("region").as_deref(), Some("default"));
        assert!(text.contains("\"legacy_prefix\": \"raw/\"") && !text.contains("verysecretkey"), "{text}");
        assert!(!text.contains("cannot be used"), "{text}");
    }

    #[test]
    fn what_is_refused_is_named_at_the_end() {
        let config = r#"{"bucket": "b", "file_type": "csv", "use_pgp_encryption_options": true}"#;
        let translation = tollgate_config::translate(config.as_bytes()).unwrap();
        let text = table(&translation);
        assert!(text.contains("these parameters are not supported: use_pgp_encryption_options"), "{text}");
        assert_eq!(document(&translation)["config"]["bucket"], "b");
    }
}
