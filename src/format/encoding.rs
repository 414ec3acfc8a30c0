//! Text encodings.

use crate::error::{Error, ErrorKind, Result};

/// Names of UTF-8 and of what is part of it, in the spellings of the encoding standard and of Python.
const UTF8: &[&str] = &["utf8", "utf-8", "utf_8", "utf-8-sig", "utf_8_sig", "u8", "ascii", "us-ascii", "646"];

/// Whether files in this encoding can be read.
///
/// # Errors
/// `Unsupported` with the encodings that can.
pub fn check(name: &str) -> Result<()> {
    if UTF8.contains(&name.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, format!("the text encoding '{name}' is not supported yet"))
        .hint("convert the files to utf-8"))
}
