//! Hands stored bytes to a decoder, in pieces of any size, until it is done or fails.

use std::ops::Range;

use bytes::Bytes;

use crate::decode::{Access, Decode, InputEnd, Step};
use tollgate_base::batch::Decoded;
use tollgate_base::error::Result;

/// What a decoder was handed, and how it ended.
pub(crate) struct Driven {
    /// Where the stream began.
    pub(crate) from: u64,
    /// The ranges that were asked for before it.
    pub(crate) ranges: Vec<Range<u64>>,
    pub(crate) end: Result<()>,
}

/// Feeds pieces of the sizes that `piece` gives, and passes each batch to `take`.
pub(crate) fn drive<D: Decode + ?Sized>(
    decoder: &mut D,
    stored: &[u8],
    piece: &mut dyn FnMut() -> usize,
    mut take: impl FnMut(Decoded) -> Result<()>,
) -> Driven {
    let Access::Stream { from } = decoder.access() else { panic!("it wants ranges, and no stream") };
    let mut driven = Driven { from, ranges: Vec::new(), end: Ok(()) };
    let mut at = from as usize;
    let mut next = || -> Result<bool> {
        match decoder.step()? {
            Step::NeedRoom => {}
            Step::NeedBytes if at >= stored.len() => decoder.end_input(InputEnd::Complete),
            Step::NeedBytes => {
                let end = (at + piece().max(1)).min(stored.len());
                decoder.feed(at as u64, Bytes::copy_from_slice(&stored[at..end]))?;
                at = end;
            }
            Step::NeedRanges(ranges) => {
                assert_eq!(at as u64, from, "ranges come before the stream");
                for range in ranges {
                    let bytes = &stored[range.start as usize..range.end as usize];
                    let size = piece().clamp(1, 1 << 20);
                    for (index, part) in bytes.chunks(size).enumerate() {
                        decoder.feed(range.start + (index * size) as u64, Bytes::copy_from_slice(part))?;
                    }
                    driven.ranges.push(range);
                }
            }
            Step::Batch(decoded) => take(decoded)?,
            Step::Done => return Ok(false),
            Step::Planned(_) => panic!("a stream has no plan of ranges"),
        }
        Ok(true)
    };
    driven.end = loop {
        match next() {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    driven
}
