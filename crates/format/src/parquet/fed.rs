//! Bytes on their way in: what was asked for, and what of it has come.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Ranges that were asked for, and the pieces of them that have come. Pieces may be larger than what was asked
/// (merged requests) or smaller (bodies come in frames); only the asked bytes are kept.
#[derive(Debug, Default)]
pub(super) struct Fed {
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    range: Range<u64>,
    /// Everything from the range's start to here has come.
    have: u64,
    /// In order of offset; none begins before the one in front of it ends, unless it was fed twice.
    parts: Vec<(u64, Bytes)>,
}

impl Fed {
    /// Whether nothing was asked for.
    pub(super) fn idle(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Asks for `ranges`.
    pub(super) fn want(&mut self, ranges: impl IntoIterator<Item = Range<u64>>) {
        self.wanted.extend(ranges.into_iter().map(|range| Wanted { have: range.start, parts: Vec::new(), range }));
    }

    /// Keeps what is asked for of `bytes`, without copying.
    pub(super) fn add(&mut self, offset: u64, bytes: &Bytes) {
        let end = offset + bytes.len() as u64;
        for wanted in &mut self.wanted {
            let (from, to) = (wanted.have.max(offset), wanted.range.end.min(end));
            if from < to {
                wanted.add(from, bytes.slice((from - offset) as usize..(to - offset) as usize));
            }
        }
    }

    /// What has not come yet.
    pub(super) fn missing(&self) -> Vec<Range<u64>> {
        self.wanted
            .iter()
            .filter(|wanted| wanted.have < wanted.range.end)
            .map(|wanted| wanted.have..wanted.range.end)
            .collect()
    }

    /// Hands over all ranges, each in one piece. Everything must have come.
    pub(super) fn take(&mut self) -> (Vec<Range<u64>>, Vec<Bytes>) {
        std::mem::take(&mut self.wanted).into_iter().map(|wanted| (wanted.range.clone(), wanted.join())).unzip()
    }
}

impl Wanted {
    fn add(&mut self, offset: u64, bytes: Bytes) {
        let place = self.parts.partition_point(|(start, _)| *start <= offset);
        self.parts.insert(place, (offset, bytes));
        for (start, part) in &self.parts {
            if *start > self.have {
                break;
            }
            self.have = self.have.max(start + part.len() as u64);
        }
    }

    /// One piece is handed on as it is; several are copied together, one range after the other, so that at most
    /// one range is held twice.
    fn join(mut self) -> Bytes {
        let length = (self.range.end - self.range.start) as usize;
        if self.parts.len() == 1 && self.parts[0].1.len() == length {
            return self.parts.swap_remove(0).1;
        }
        let mut joined = BytesMut::with_capacity(length);
        for (start, part) in self.parts {
            let known = (self.range.start + joined.len() as u64).saturating_sub(start) as usize;
            joined.extend_from_slice(part.get(known..).unwrap_or_default());
        }
        joined.freeze()
    }
}

#[cfg(test)]
#[expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some of them short")]
mod tests {
    use super::*;

    fn bytes(range: Range<u64>) -> Bytes {
        range.map(|byte| byte as u8).collect::<Vec<_>>().into()
    }

    #[test]
    fn any_pieces_give_the_asked_ranges() {
        let pieces: [&[Range<u64>]; 6] = [
            &[0..100],
            &[10..20, 40..45],
            &[10..11, 11..20, 40..43, 43..45],
            &[30..50, 5..15, 15..25],
            &[15..20, 10..15, 44..45, 40..44],
            &[10..18, 12..20, 40..45, 40..45],
        ];
        for pieces in pieces {
            let mut fed = Fed::default();
            fed.want([10..20, 40..45]);
            assert_eq!(fed.missing(), [10..20, 40..45]);
            for piece in pieces {
                fed.add(piece.start, &bytes(piece.clone()));
            }
            assert!(fed.missing().is_empty(), "{pieces:?} leaves {:?}", fed.missing());
            let (ranges, all) = fed.take();
            assert_eq!(ranges, [10..20, 40..45]);
            assert_eq!(all, [bytes(10..20), bytes(40..45)], "{pieces:?}");
            assert!(fed.idle());
        }
    }

    #[test]
    fn a_range_that_came_in_part_is_asked_for_from_there() {
        let mut fed = Fed::default();
        fed.want([10..20]);
        fed.add(5, &bytes(5..13));
        assert_eq!(fed.missing(), [13..20]);
    }

    #[test]
    fn one_piece_is_not_copied() {
        let mut fed = Fed::default();
        let body = bytes(0..100);
        fed.want([10..20]);
        fed.add(0, &body);
        assert_eq!(fed.take().1[0].as_ptr(), body[10..].as_ptr());
    }
}
