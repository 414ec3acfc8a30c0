//! The one place where the Parquet library's failures become errors of this program.

use parquet::errors::ParquetError;

use crate::quiet::caught;
use tollgate_base::error::{Error, ErrorKind, Result};

/// Runs a call into the Parquet library.
///
/// The library asserts where a file breaks its promises (negative lengths, definition levels beyond their maximum,
/// lists that overrun): for us these are bytes from outside, so a panic ends as a data error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    match caught(work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(from_parquet(error)),
        Err(panic) => Err(Error::data("the bytes are not valid Parquet").caused_by(panic)),
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
