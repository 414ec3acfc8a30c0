//! Positions to resume from that a file does not have.

use tollgate_base::error::{Error, ErrorKind, Subject};

/// The error for a position that another format's decoder gave.
pub(crate) fn foreign_position() -> Error {
    refused_position(Error::config("the position in the state is of another format"))
        .hint("reset the stream, or use the format of the earlier run")
}

/// Marks an error as one about the position to resume from: the file itself can be read.
pub(crate) fn refused_position(error: Error) -> Error {
    error.about(Subject::Position).with("position", "not in this file")
}

/// The error for a position after the end of the text: better than an end without the rows that should be there.
pub fn beyond_the_end(offset: u64) -> Error {
    let error = Error::new(ErrorKind::Changed, "the position to resume from is after the end of the file");
    refused_position(error.with("offset", offset))
}
