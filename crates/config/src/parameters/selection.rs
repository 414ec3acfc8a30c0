//! Which objects belong to a stream: patterns of keys, and the time from which on objects are read.

use crate::dialect::PerDialect;
use crate::input::wrong;
use crate::location::shown;
use tollgate_base::error::{Error, Result};
use tollgate_base::object::Timestamp;
use tollgate_base::options::key_pattern::KeyPattern;

pub(crate) const SKIP_MARKERS: PerDialect<bool> = PerDialect::same(false).flat(true).fivetran(true);

/// The patterns where none are written: all keys.
pub(crate) fn globs() -> Vec<String> {
    vec!["**".to_owned()]
}

/// A date, or a date and time, in the pattern that Airbyte's specification gives; offsets are applied.
///
/// # Errors
/// Config when it has another shape, or is impossible.
pub(crate) fn start_date(text: &str, path: &str) -> Result<Timestamp> {
    let expected = "YYYY-MM-DD, YYYY-MM-DDTHH:mm:ssZ or YYYY-MM-DDTHH:mm:ss.SSSSSSZ";
    let fail = || wrong(path, shown(text), expected);
    let bytes = text.as_bytes();
    // The pattern begins with ten characters of date, and a time needs its `T` and seconds.
    let date_alone = bytes.len() == 10;
    let with_time = bytes.len() >= 19 && bytes[10] == b'T' && bytes[..19].is_ascii();
    if !date_alone && !with_time {
        return Err(fail());
    }
    Timestamp::parse(text).ok_or_else(fail)
}

/// Writes a literal text as a part of a glob.
pub(crate) fn escaped(text: &str) -> String {
    let mut glob = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            glob.push('\\');
        }
        glob.push(c);
    }
    glob
}

/// A glob that holds below a prefix.
pub(crate) fn inside(prefix: &str, glob: &str) -> String {
    format!("{}{glob}", escaped(prefix))
}

/// A regular expression that holds for keys below a folder; a blank one is none.
///
/// # Errors
/// Config, with what is wrong with it.
pub(crate) fn key_pattern(written: Option<&str>, folder: &str, path: &str) -> Result<Option<KeyPattern>> {
    let Some(text) = written.filter(|text| !text.is_empty()) else { return Ok(None) };
    let pattern = KeyPattern::new(folder, text).map_err(|reason| {
        Error::config(format!("`{path}` is '{text}', which is not a regular expression: {reason}"))
            .hint("use the syntax of the Rust crate regex: it has no look-around and no back-references")
    })?;
    Ok(Some(pattern))
}
