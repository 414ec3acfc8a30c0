//! Provenance: one line for each parameter that says how it was understood, without secrets.

use serde_json::{Map, Value};

use tollgate_base::error::{Error, ErrorKind, Result};

/// The replacement of a secret.
pub(crate) const MASK: &str = "****";

/// How one parameter was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// Its JSON path in the configuration, such as `streams[0].globs`.
    pub path: String,
    /// How it was understood.
    pub outcome: Outcome,
    /// More about it, for a person; never a secret.
    pub note: String,
}

impl Provenance {
    /// A warning for the user, if the parameter has no effect or a new name.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        match self.outcome {
            Outcome::Unknown | Outcome::Renamed => Some(format!("the parameter '{}' is {}", self.path, self.note)),
            Outcome::Taken | Outcome::Defaulted | Outcome::Refused => None,
        }
    }
}

/// How a parameter was understood, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Used as written.
    Taken,
    /// Absent: the default applies.
    Defaulted,
    /// Used under its new name.
    Renamed,
    /// Without effect, with one warning: it is unknown, or another parameter makes it unused. The note says which.
    Unknown,
    /// Known and not supported.
    Refused,
}

/// The lines so far; at most one per path.
#[derive(Default)]
pub(crate) struct ProvenanceLog {
    lines: Vec<Provenance>,
    refused: Vec<(String, String)>,
}

impl ProvenanceLog {
    /// Records how a key was read: it is used as written, a default holds in its place, or it is not known.
    pub(crate) fn read(&mut self, path: String, outcome: Outcome, value: &Value) {
        let note = match outcome {
            Outcome::Unknown => "not known and has no effect".to_owned(),
            _ => shown(&path, value),
        };
        // No search for an earlier line, so that a thousand streams cost a thousand times what one costs.
        self.lines.push(Provenance { path, outcome, note });
    }

    /// Records a parameter that is not written, and the value that holds.
    pub(crate) fn defaulted(&mut self, path: String, value: &Value) {
        let note = shown(&path, value);
        self.set(path, Outcome::Defaulted, note);
    }

    /// Records a value that is used as written, after the reading.
    pub(crate) fn accepted(&mut self, path: &str, value: &Value) {
        self.set(path.to_owned(), Outcome::Taken, shown(path, value));
    }

    /// Records a parameter that is used under its present name, or in another form.
    pub(crate) fn renamed(&mut self, path: impl Into<String>, note: impl Into<String>) {
        self.set(path.into(), Outcome::Renamed, note.into());
    }

    /// Records a parameter that is written and has no effect.
    pub(crate) fn unused(&mut self, path: impl Into<String>, note: impl Into<String>) {
        self.set(path.into(), Outcome::Unknown, note.into());
    }

    /// Records a parameter that is known and not supported. Parsing continues, so that all of them are named at once.
    pub(crate) fn refused(&mut self, path: impl Into<String>, note: impl Into<String>) {
        let (path, note) = (path.into(), note.into());
        // A parameter of the root is read once for each stream, and named once.
        if self.refused.iter().all(|(refused, _)| *refused != path) {
            self.refused.push((path.clone(), note.clone()));
        }
        self.set(path, Outcome::Refused, note);
    }

    /// Adds a remark to an existing line.
    pub(crate) fn remark(&mut self, path: &str, remark: &str) {
        if let Some(line) = self.lines.iter_mut().rfind(|line| line.path == path) {
            line.note = if line.note.is_empty() { remark.to_owned() } else { format!("{}; {remark}", line.note) };
        }
    }

    /// Removes the line of a default that does not hold after all.
    pub(crate) fn forget_default(&mut self, path: &str) {
        self.lines.retain(|line| line.path != path || line.outcome != Outcome::Defaulted);
    }

    fn set(&mut self, path: String, outcome: Outcome, note: String) {
        // The line in question is nearly always one of the last.
        match self.lines.iter_mut().rfind(|line| line.path == path) {
            Some(line) => (line.outcome, line.note) = (outcome, note),
            None => self.lines.push(Provenance { path, outcome, note }),
        }
    }

    /// The lines, in the order of reading.
    pub(crate) fn into_lines(self) -> Vec<Provenance> {
        self.lines
    }

    /// Whether all parameters are supported.
    ///
    /// # Errors
    /// Unsupported, naming each that is not, with the hint of the first.
    pub(crate) fn supported(&self) -> Result<()> {
        let Some((_, hint)) = self.refused.first() else { return Ok(()) };
        let names: Vec<String> = self.refused.iter().map(|(path, _)| format!("`{path}`")).collect();
        let verb = if names.len() == 1 { "is" } else { "are" };
        let message = format!("{} {verb} not supported yet", names.join(", "));
        Err(Error::new(ErrorKind::Unsupported, message).hint(hint.clone()))
    }
}

/// A key below a path.
pub(crate) fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        _ if key.starts_with('[') => format!("{path}{key}"),
        _ => format!("{path}.{key}"),
    }
}

fn shown(path: &str, value: &Value) -> String {
    let key = path.rsplit('.').next().unwrap_or(path);
    if secret_name(key) { MASK.to_owned() } else { value.to_string() }
}

/// Whether a key of this name holds a secret, in any dialect. Errs on the side of yes.
pub(crate) fn secret_name(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let parts = ["secret", "password", "passphrase", "pass_phrase", "token", "credential_"];
    let ends = ["access_key", "access_key_id", "accesskeyid", "private_key", "api_key"];
    parts.iter().any(|part| key.contains(part)) || ends.iter().any(|end| key.ends_with(end))
}

/// The texts of a configuration that must not be seen.
pub(crate) fn secrets_of(root: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    collect_keys(root, false, &mut found);
    // A longer secret first: a shorter one may be a part of it. Very short ones are in every text.
    found.retain(|secret: &String| secret.len() >= 4);
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found
}

fn collect(value: &Value, secret: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if secret => found.push(text.trim().to_owned()),
        Value::Number(number) if secret => found.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, secret, found)),
        Value::Object(object) => collect_keys(object, secret, found),
        _ => {}
    }
}

fn collect_keys(object: &Map<String, Value>, secret: bool, found: &mut Vec<String>) {
    for (key, inner) in object {
        collect(inner, secret || secret_name(key), found);
    }
}

/// An error without the secrets, should one have been written in a place where values are shown.
pub(crate) fn without_secrets(error: Error, secrets: &[String]) -> Error {
    let masked = |text: &str| secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, MASK));
    let clean = Error::new(error.kind(), masked(error.message()));
    match error.hint_text() {
        Some(hint) => clean.hint(masked(hint)),
        None => clean,
    }
}

/// The same for lines of provenance.
pub(crate) fn lines_without_secrets(lines: &mut [Provenance], secrets: &[String]) {
    for secret in secrets {
        for line in lines.iter_mut().filter(|line| line.note.contains(secret) || line.path.contains(secret)) {
            line.note = line.note.replace(secret, MASK);
            line.path = line.path.replace(secret, MASK);
        }
    }
}
