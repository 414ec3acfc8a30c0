//! The one place where the Parquet library's failures become errors of this program.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;

use crate::error::{Error, ErrorKind, Result};

/// Runs a call into the Parquet library.
///
/// The library asserts where a file breaks its promises (negative lengths, definition levels beyond their maximum,
/// lists that overrun): for us these are bytes from outside, so a panic ends as a data error. Nothing that the call
/// may have left half-done is used afterwards: a decoder is not called again after an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(from_parquet(error)),
        Err(panic) => {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            Err(Error::data("the bytes are not valid Parquet").caused_by(text))
        }
    }
}

fn from_parquet(error: ParquetError) -> Error {
    match error {
        ParquetError::NYI(what) => {
            Error::new(ErrorKind::Unsupported, "the file uses a Parquet feature that is not supported").caused_by(what)
        }
        other => Error::data("the bytes are not valid Parquet").caused_by(other),
    }
}
