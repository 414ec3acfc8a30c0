//! The bytes of an object: kept in memory, or made when they are asked for.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Blocks that are repeated are tiled up to about this size, so that a large body leaves in few large pieces.
const TILE_BYTES: usize = 1 << 20;

/// Makes a piece of a body: called with an offset and the most bytes wanted, it returns at least one byte and at most
/// that many, beginning at the offset. It is never asked beyond the end of the body.
pub type Generate = Arc<dyn Fn(u64, usize) -> Bytes + Send + Sync>;

/// The bytes of an object.
#[derive(Clone)]
pub enum Content {
    /// Kept in memory.
    Stored(Bytes),
    /// Made piece by piece while they are sent; costs no memory however large the object is.
    Generated {
        /// The length of the whole body.
        size_bytes: u64,
        /// Makes one piece.
        generate: Generate,
    },
}

impl Content {
    /// A header followed by `times` copies of a block: a CSV file of equal rows, or many gzip members.
    #[must_use]
    pub fn repeat(header: impl Into<Bytes>, block: impl Into<Bytes>, times: u64) -> Self {
        let (header, block) = (header.into(), block.into());
        let header_bytes = header.len() as u64;
        let size_bytes = header_bytes + block.len() as u64 * times;
        let copies = (TILE_BYTES / block.len().max(1)).max(1).min(usize::try_from(times).unwrap_or(usize::MAX));
        let tile = Bytes::from(block.repeat(copies));
        let generate = move |offset: u64, most: usize| {
            if offset < header_bytes {
                return piece_of(&header, offset, most);
            }
            piece_of(&tile, (offset - header_bytes) % tile.len() as u64, most)
        };
        Self::Generated { size_bytes, generate: Arc::new(generate) }
    }

    /// A header followed by `rows` rows of exactly `row_bytes` bytes each; `write` fills the row with the given
    /// number, the line feed included. Only rows that are asked for are written.
    #[must_use]
    pub fn fixed_rows(
        header: impl Into<Bytes>,
        row_bytes: usize,
        rows: u64,
        write: impl Fn(u64, &mut [u8]) + Send + Sync + 'static,
    ) -> Self {
        let header = header.into();
        let header_bytes = header.len() as u64;
        let width = row_bytes.max(1) as u64;
        let generate = move |offset: u64, most: usize| {
            if offset < header_bytes {
                return piece_of(&header, offset, most);
            }
            let first = (offset - header_bytes) / width;
            let skip = usize::try_from((offset - header_bytes) % width).unwrap_or(0);
            let count = (skip + most.min(TILE_BYTES)).div_ceil(row_bytes.max(1));
            let count = usize::try_from(rows - first).unwrap_or(usize::MAX).min(count);
            let mut piece = BytesMut::zeroed(count * row_bytes);
            for (row, bytes) in (first..).zip(piece.chunks_exact_mut(row_bytes)) {
                write(row, bytes);
            }
            piece_of(&piece.freeze(), skip as u64, most)
        };
        Self::Generated { size_bytes: header_bytes + row_bytes as u64 * rows, generate: Arc::new(generate) }
    }

    /// The length of the whole body in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Stored(bytes) => bytes.len() as u64,
            Self::Generated { size_bytes, .. } => *size_bytes,
        }
    }

    /// The next piece of a range: from its start, at most `most` bytes; empty only when the range is.
    pub(crate) fn piece(&self, range: &Range<u64>, most: usize) -> Bytes {
        let most = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX).min(most);
        match self {
            _ if most == 0 => Bytes::new(),
            Self::Stored(bytes) => piece_of(bytes, range.start, most),
            Self::Generated { generate, .. } => generate(range.start, most),
        }
    }

    /// All bytes in one piece. For tests and for copies of small objects; a large generated body is a large buffer.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.slice(0..self.size_bytes())
    }

    /// A range in one piece.
    pub(crate) fn slice(&self, mut range: Range<u64>) -> Bytes {
        if matches!(self, Self::Stored(_)) {
            return self.piece(&range, usize::MAX);
        }
        let mut all = BytesMut::new();
        while range.start < range.end {
            let piece = self.piece(&range, TILE_BYTES);
            range.start += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
        all.freeze()
    }
}

fn piece_of(bytes: &Bytes, offset: u64, most: usize) -> Bytes {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(start..start.saturating_add(most).min(bytes.len()))
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Stored(bytes)
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Stored(bytes.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Stored(text.into())
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::Stored(Bytes::from_static(text.as_bytes()))
    }
}

impl From<&'static [u8]> for Content {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Stored(Bytes::from_static(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for Content {
    fn from(bytes: &'static [u8; N]) -> Self {
        Self::Stored(Bytes::from_static(bytes))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self, Self::Stored(_)) { "stored" } else { "generated" };
        write!(formatter, "{kind} content of {} bytes", self.size_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_pieces(content: &Content, mut range: Range<u64>, most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while range.start < range.end {
            let piece = content.piece(&range, most);
            assert!(!piece.is_empty() && piece.len() <= most, "a piece of {} for at most {most}", piece.len());
            range.start += piece.len() as u64;
            all.extend_from_slice(&piece);
        }
        all
    }

    #[test]
    fn every_range_of_a_generated_body_equals_the_same_range_of_the_whole() {
        let write = |row: u64, bytes: &mut [u8]| bytes.copy_from_slice(format!("{row:06}\n").as_bytes());
        let bodies = [
            (Content::fixed_rows("a,b\n", 7, 9, write), {
                let rows: String = (0..9).map(|row| format!("{row:06}\n")).collect();
                format!("a,b\n{rows}")
            }),
            (Content::repeat("head", "xyz", 20), format!("head{}", "xyz".repeat(20))),
            (Content::repeat("", "q", 3), "qqq".to_owned()),
            (Content::repeat("only", "q", 0), "only".to_owned()),
        ];
        for (content, whole) in bodies {
            assert_eq!(content.size_bytes(), whole.len() as u64);
            assert_eq!(content.to_bytes(), whole.as_bytes());
            for start in 0..whole.len() {
                for end in start..=whole.len() {
                    for most in [1, 5, 64] {
                        let part = in_pieces(&content, start as u64..end as u64, most);
                        assert_eq!(part, &whole.as_bytes()[start..end], "{start}..{end} at most {most}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_huge_body_costs_no_memory() {
        let content = Content::repeat("h\n", "0123456789abcde\n", 100_000_000_000 / 16);
        assert_eq!(content.size_bytes(), 100_000_000_002);
        let end = content.size_bytes();
        assert_eq!(&content.piece(&(end - 3..end), 64)[..], b"de\n");
    }
}
