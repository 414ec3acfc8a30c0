//! Spans of time such as `3d`.

use crate::input::wrong;
use tollgate_base::error::Result;
use tollgate_base::options::partition::span_seconds;

/// The seconds of a span of time; a blank one is none.
///
/// # Errors
/// Config, when it is no span.
pub(crate) fn span(text: Option<&str>, path: &str) -> Result<Option<i64>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let seconds = span_seconds(text);
    seconds.map(Some).ok_or_else(|| wrong(path, format!("'{text}'"), "a duration such as '3d', '12h' or '2w'"))
}
