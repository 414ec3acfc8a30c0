//! Positions to resume from that a file does not have.

use tollgate_base::error::{Error, ErrorKind, Subject};

/// The error for a position that another format's decoder gave.
pub(crate) fn foreign_position() -> Error {
    refused_position(Error::config("the state has a position of another format in this file"))
        .hint("reset the stream, or use the format that it was read with before")
}

/// Marks an error as one about the position to resume from: the file itself can be read.
pub(crate) fn refused_position(error: Error) -> Error {
    error.about(Subject::Position).with("position", "not in this file")
}

/// The error for a position after the end of the text: better than an end without the rows that should be there.
pub fn beyond_the_end(offset: u64) -> Error {
    let error = Error::new(ErrorKind::Changed, "the position to resume from lies after the end of the file");
    refused_position(error.with("offset", offset))
}
