//! What splitters of text are given and answer with: rows, where they lie, and those that are not well formed.

use std::borrow::Cow;

use memchr::{memchr2, memchr2_iter};

use tollgate_base::batch::Reject;
use tollgate_base::error::Error;
use tollgate_base::options::OnBadRow;

/// The rows that a splitter went over.
#[derive(Default)]
pub(crate) struct Rejects {
    collect: bool,
    pub(crate) list: Vec<Reject>,
}

impl Rejects {
    pub(crate) fn new(on_bad_row: OnBadRow) -> Self {
        Self { collect: on_bad_row == OnBadRow::Collect, list: Vec::new() }
    }

    /// Whether bad rows are gone over at all.
    pub(crate) fn collect(&self) -> bool {
        self.collect
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// A copy of a row's text, where somebody will want it.
    pub(crate) fn raw(&self, row: &[u8]) -> Option<Vec<u8>> {
        self.collect.then(|| row.to_vec())
    }

    /// Adds a row; `lines` and `offset` are what lies before it.
    #[cold]
    pub(crate) fn add(&mut self, reason: impl Into<Cow<'static, str>>, lines: u64, offset: u64, raw: Vec<u8>) {
        let (line, offset, reason) = (Some(lines + 1), Some(offset), reason.into());
        self.list.push(Reject { line, offset, row: None, reason, raw, ..Reject::default() });
    }
}

/// Where the text given to a splitter lies in its object, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    /// Decoded bytes before the text.
    pub(crate) offset: u64,
    /// Rows before the text.
    pub(crate) rows: u64,
}

impl Origin {
    /// Puts row and byte into an error about a row of this text: `row` counts from 0, `at` is an index into it.
    pub(crate) fn place(self, error: Error, row: usize, at: usize) -> Error {
        error.with("row", self.rows + row as u64 + 1).with("byte", self.offset + at as u64)
    }
}

/// What a splitter made of a text.
pub(crate) struct Split {
    /// Bytes that are done: the rows found, and what lies between them. The position behind them is exact.
    pub(crate) consumed: usize,
    /// Why it stopped.
    pub(crate) stop: Stop,
}

/// Why a splitter stopped.
pub(crate) enum Stop {
    /// It needs more text than there is; at the end of the text, it is done.
    More,
    /// The batch has its rows.
    Full,
    /// The next row is not well formed.
    Fault(Error),
}

/// The lines that begin in `text` behind its first: LF, CRLF and CR end a line.
pub(crate) fn count_lines(text: &[u8]) -> u64 {
    memchr2_iter(b'\n', b'\r', text).filter(|&at| text[at] == b'\r' || at == 0 || text[at - 1] != b'\r').count() as u64
}

/// The first byte behind the line that begins at `at`; `None` where no line end is there.
pub(crate) fn behind_line(text: &[u8], at: usize) -> Option<usize> {
    let end = at + memchr2(b'\n', b'\r', &text[at..])?;
    let both = text[end] == b'\r' && text.get(end + 1) == Some(&b'\n');
    Some(end + 1 + usize::from(both))
}
