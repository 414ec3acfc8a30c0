//! The one error type of the program.
//!
//! The kind says what the *caller* can do about the error. The message is a short fact, in lower case and without a
//! final stop. The context says where it happened, and the hint is an action. `Display` prints only the error itself
//! with its context. The chain of causes is printed in one place, `protocol::trace`.

use std::fmt;

/// The result of everything in this program that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can be done about an error, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration, catalog or state must be changed.
    Config,
    /// The credentials or their permissions must be changed.
    Access,
    /// The bucket or object does not exist.
    NotFound,
    /// The object is not the one that was listed.
    Changed,
    /// The object is in an archive and must be restored before it can be read.
    Archived,
    /// The bytes of an object do not conform to its format.
    Data,
    /// A row does not conform to the catalog's schema, and the stream's policy is to stop there.
    SchemaMismatch,
    /// A listing is not in the order of its keys. Listed as a whole, it can be sorted.
    OutOfOrder,
    /// A spending limit of the configuration was reached.
    Limit,
    /// Something is larger than the program takes on: a file, a row, the text that compressed data expands to.
    TooLarge,
    /// The request is understood but not supported.
    Unsupported,
    /// Trying again later may help: network, throttling, a server's fault.
    Transient,
    /// A bug in this program.
    Internal,
}

/// Airbyte's `failure_type` of a TRACE ERROR. The platform does not retry `config_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureType {
    /// The user must fix it.
    ConfigError,
    /// A retry may help.
    TransientError,
    /// Ours to fix.
    SystemError,
}

impl ErrorKind {
    /// The one table from kind to failure type.
    #[must_use]
    pub fn failure_type(self) -> FailureType {
        match self {
            Self::Config
            | Self::Access
            | Self::NotFound
            | Self::Archived
            | Self::Data
            | Self::SchemaMismatch
            | Self::OutOfOrder
            | Self::Limit
            | Self::TooLarge
            | Self::Unsupported => FailureType::ConfigError,
            Self::Changed | Self::Transient => FailureType::TransientError,
            Self::Internal => FailureType::SystemError,
        }
    }
}

/// What an error is about. The kind says what can be done, and this to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subject {
    /// No single file: the run, a stream, the bucket.
    #[default]
    Run,
    /// One file, which the context names.
    File,
    /// The position to resume a file from, which the file does not have. Read from its start, the file may be fine. No
    /// row was handed over.
    Position,
    /// Rows of the file that were handed over before: the bytes that they were made of do not have the checksum that
    /// they should have, or turned out to be damaged.
    EarlierRows,
    /// The place for dead letters, and not the file whose rows go there.
    DeadLetters,
}

impl FailureType {
    /// The protocol's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigError => "config_error",
            Self::TransientError => "transient_error",
            Self::SystemError => "system_error",
        }
    }
}

/// An error with its kind, where it happened, and what to do.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    hint: Option<String>,
    subject: Subject,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error. `message` is a short fact: lower case, no final stop.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (context, hint, subject, source) = (Vec::new(), None, Subject::Run, None);
        Self(Box::new(Inner { kind, message: message.into(), context, hint, subject, source }))
    }

    /// Shorthand for [`ErrorKind::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Shorthand for [`ErrorKind::Data`].
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// Shorthand for [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds where it happened: stream, bucket, key, line, row, byte, request id. The first value of a name stays,
    /// since the innermost place knows best.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        if self.get(name).is_none() {
            self.0.context.push((name, value.to_string()));
        }
        self
    }

    /// Adds what to do about it, as an action.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says what the error is about, whatever was said before: who calls last knows what was done with the bytes.
    #[must_use]
    pub fn about(mut self, subject: Subject) -> Self {
        self.0.subject = subject;
        self
    }

    /// Says that the error came from reading one file, unless it says something more precise already.
    #[must_use]
    pub fn about_file(self) -> Self {
        match self.subject() {
            Subject::Run => self.about(Subject::File),
            _ => self,
        }
    }

    /// What the error is about.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.0.subject
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message without its context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The value of one context pair: for people. Whoever decides something asks for the kind or the subject.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    /// The hint, if there is one.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (i, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name} '{value}'", if i == 0 { " (" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        if let Some(hint) = &self.0.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_has_message_place_and_hint_but_not_the_chain() {
        let error = Error::data("a row has 3 fields, the header has 4")
            .caused_by(std::io::Error::other("inner"))
            .with("key", "a.csv")
            .with("line", 7)
            .with("line", 9)
            .hint("set `on_error`");
        assert_eq!(error.to_string(), "a row has 3 fields, the header has 4 (key 'a.csv', line '7'); set `on_error`");
        assert_eq!(format!("{error:?}"), format!("Data: {error}: inner"));
    }

    #[test]
    fn the_subject_stays_where_only_the_file_is_added() {
        assert_eq!(Error::data("a").about_file().subject(), Subject::File);
        for subject in [Subject::Position, Subject::EarlierRows, Subject::DeadLetters] {
            assert_eq!(Error::data("a").about(subject).about_file().subject(), subject);
        }
        let rejected = Error::data("a").about(Subject::EarlierRows).about(Subject::DeadLetters);
        assert_eq!(rejected.subject(), Subject::DeadLetters);
    }
}
