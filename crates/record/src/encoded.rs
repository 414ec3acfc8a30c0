//! What became of the rows of a batch.

use super::conform::{MismatchPolicy, TypeMismatch};
use tollgate_base::error::Error;

/// A row that an encoder did not write.
#[derive(Debug)]
pub struct Refused {
    /// Its index in the batch.
    pub row: usize,
    /// Why, in words that are the same for all rows of one kind.
    pub reason: String,
    /// The row as a JSON object.
    pub raw: Vec<u8>,
}

/// Bytes of a line at most. Rows have 32 MiB at most, which are longer in JSON where they are full of characters that it
/// escapes, up to six times.
pub(super) const MOST_LINE_BYTES: usize = 48 << 20;

/// What became of the rows of a batch.
#[derive(Debug, Default)]
pub struct Encoded {
    /// The lines that were appended.
    pub lines: u64,
    /// Rows among them of which something was rescued.
    pub rescued: u64,
    /// Rows that were refused, in their order.
    pub refused: Vec<Refused>,
    /// The first row that was not looked at, and why: the file ends there.
    pub stopped: Option<(usize, Error)>,
}

impl Encoded {
    #[cold]
    pub(super) fn stop(&mut self, row: usize, error: Error) {
        self.stopped = Some((row, error));
    }

    /// Ends the file before a row whose line is longer than any may be.
    #[cold]
    pub(super) fn stop_before_long_line(&mut self, row: usize) {
        let error = Error::data("the record of a row is longer than the limit allows")
            .with("limit_bytes", MOST_LINE_BYTES)
            .hint("leave columns with long texts of control characters out of the stream's catalog");
        self.stop(row, error);
    }

    /// Acts on a row that does not conform. Whether the file ends there.
    #[cold]
    pub(super) fn unfit(
        &mut self,
        unfit: MismatchPolicy,
        row: usize,
        misfit: &TypeMismatch<'_>,
        raw: impl FnOnce() -> Vec<u8>,
    ) -> bool {
        match unfit {
            MismatchPolicy::Refuse => self.refused.push(Refused { row, reason: misfit.reason(), raw: raw() }),
            MismatchPolicy::Stop { .. } => self.stop(row, unfit.stopped(misfit)),
            MismatchPolicy::Emit | MismatchPolicy::Leave | MismatchPolicy::Rescue => {}
        }
        self.stopped.is_some()
    }
}
