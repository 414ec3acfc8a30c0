//! The wording of errors about values.

use std::fmt;

use tollgate_base::error::Error;

/// `one of 'a', 'b'`
pub(crate) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

/// The error of a value that is not what it should be.
pub(crate) fn wrong(path: &str, value: impl fmt::Display, expected: &str) -> Error {
    Error::config(format!("`{path}` is {value}, expected {expected}"))
}
