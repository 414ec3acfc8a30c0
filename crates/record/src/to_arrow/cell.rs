//! Values as they stand in a file, before they have a type.

use std::borrow::Cow;

use tollgate_base::batch::{JsonKind, Span};
use tollgate_base::error::{Error, Result};

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellKind {
    /// Null, or nothing.
    Null,
    /// A text that may mean anything: a CSV field.
    Text,
    /// JSON's `true` or `false`.
    Boolean,
    /// A JSON number without fraction and exponent.
    Integer,
    /// Any other JSON number.
    Number,
    /// A JSON string with its quotes.
    String,
    /// A JSON array.
    Array,
    /// A JSON object.
    Object,
}

impl From<JsonKind> for CellKind {
    fn from(kind: JsonKind) -> Self {
        match kind {
            JsonKind::Null => Self::Null,
            JsonKind::Boolean => Self::Boolean,
            JsonKind::Integer => Self::Integer,
            JsonKind::Number => Self::Number,
            JsonKind::String => Self::String,
            JsonKind::Array => Self::Array,
            JsonKind::Object => Self::Object,
        }
    }
}

/// A value of a column, or of something nested in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell<'a> {
    /// The text as written.
    pub(super) text: &'a str,
    /// The row of the batch that it belongs to, or [`Cell::NO_ROW`].
    pub(super) row: u32,
    pub(super) kind: CellKind,
}

impl<'a> Cell<'a> {
    /// The row of a cell that only fills a place: the member of an object that is null.
    pub(super) const NO_ROW: u32 = u32::MAX;

    /// No value.
    pub(super) fn null(row: u32) -> Self {
        Self { text: "", row, kind: CellKind::Null }
    }

    /// A JSON value without white space around it.
    pub(super) fn of_json(text: &'a str, row: u32) -> Self {
        let kind = match text.as_bytes().first() {
            Some(b'"') => CellKind::String,
            Some(b'{') => CellKind::Object,
            Some(b'[') => CellKind::Array,
            Some(b't' | b'f') => CellKind::Boolean,
            None | Some(b'n') => CellKind::Null,
            Some(_) if text.contains(['.', 'e', 'E']) => CellKind::Number,
            Some(_) => CellKind::Integer,
        };
        Self { text, row, kind }
    }

    /// The text of a CSV field, or the content of a JSON string; `None` for other values, and for a string that has half
    /// of a surrogate pair, which is no character.
    pub(super) fn string(&self) -> Option<Cow<'a, str>> {
        match self.kind {
            CellKind::Text => Some(Cow::Borrowed(self.text)),
            CellKind::String => match self.text.get(1..self.text.len() - 1) {
                Some(content) if memchr::memchr(b'\\', content.as_bytes()).is_none() => Some(Cow::Borrowed(content)),
                _ => serde_json::from_str(self.text).ok().map(Cow::Owned),
            },
            _ => None,
        }
    }
}

/// The buffer of a batch as text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a> {
    data: &'a [u8],
    /// All of it, where all of it is UTF-8. Fields always are, but there may be pieces of characters between them.
    whole: Option<&'a str>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, whole: simdutf8::basic::from_utf8(data).ok() }
    }

    /// The text of a field.
    #[inline]
    pub(super) fn get(&self, span: Span) -> Result<&'a str> {
        let text = match self.whole {
            Some(whole) => whole.get(span.range()),
            None => self.data.get(span.range()).and_then(|bytes| std::str::from_utf8(bytes).ok()),
        };
        text.ok_or_else(|| Error::internal("a field of a batch is not UTF-8 text"))
    }
}
