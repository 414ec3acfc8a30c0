//! Rows that are lost.

use std::borrow::Cow;

use tollgate_base::batch::Reject;

/// Of what is lost, so many bytes are kept.
const KEPT_BYTES: usize = 64 << 10;

/// Rows that are lost together.
#[derive(Debug)]
pub(super) struct Lost {
    /// The first byte of their block.
    pub(super) offset: u64,
    /// The number of the first among the rows of the file, from 1.
    row: u64,
    /// How many there are; at least 1, since something is lost.
    pub(super) rows: u64,
    reason: Cow<'static, str>,
    /// Their bytes, as far as they are kept.
    raw: Vec<u8>,
    cut: bool,
}

impl Lost {
    pub(super) fn new(offset: u64, row: u64, rows: u64, reason: impl Into<Cow<'static, str>>, raw: &[u8]) -> Self {
        let cut = raw.len() > KEPT_BYTES;
        let raw = raw[..raw.len().min(KEPT_BYTES)].to_vec();
        Self { offset, row, rows: rows.max(1), reason: reason.into(), raw, cut }
    }

    /// As it is reported. Where the whole object is compressed (not `plain`), its blocks have no place in it.
    pub(super) fn reject(self, plain: bool) -> Reject {
        let Self { offset, row, rows, reason, raw, cut } = self;
        let offset = plain.then_some(offset);
        Reject { offset, row: Some(row), more_rows: rows - 1, reason, raw, cut, ..Reject::default() }
    }
}
