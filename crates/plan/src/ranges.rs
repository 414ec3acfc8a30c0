//! Which requests bring the bytes: ranges merged over small gaps, and large objects split into parts.

use std::ops::Range;

/// Two wanted ranges with a gap up to this many bytes become one request: a request costs as much time as about
/// this many bytes at the speed of one connection, and $0.0000004 more.
pub const MERGE_GAP_BYTES: u64 = 1 << 20;

/// One GET per object below this size; above it, parts of [`PART_BYTES`].
pub const SPLIT_ABOVE_BYTES: u64 = 256 << 20;

/// The length of one part of a split object.
pub const PART_BYTES: u64 = 8 << 20;

/// Fewer files than this at hand: a large one may have the connections to itself.
const ENOUGH_FILES: usize = 4;

/// Whether a file has the connections to itself, when so many others are known and not begun, or in flight.
#[must_use]
pub fn alone(ready: usize, in_flight: usize) -> bool {
    ready + in_flight < ENOUGH_FILES
}

/// Merges wanted ranges into requests. The result is sorted, covers every wanted byte, and joins neighbours with a
/// gap of at most `gap_bytes`. Empty ranges vanish.
#[must_use]
pub fn merged(mut wanted: Vec<Range<u64>>, gap_bytes: u64) -> Vec<Range<u64>> {
    wanted.retain(|range| range.start < range.end);
    wanted.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(wanted.len());
    for range in wanted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(gap_bytes) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// The requests for an object of `size` bytes from byte `from` on. A single open range is `None` in the first
/// place: the whole object, without a Range header.
///
/// `alone`: whether this file has the connections to itself, so that parts can be fetched side by side.
#[must_use]
pub fn parts(size: u64, from: u64, alone: bool) -> Vec<Option<Range<u64>>> {
    let rest = size.saturating_sub(from);
    if !alone || rest <= SPLIT_ABOVE_BYTES {
        return vec![(from > 0).then_some(from..size)];
    }
    let mut parts = Vec::with_capacity(usize::try_from(rest / PART_BYTES).unwrap_or(0) + 1);
    let mut at = from;
    while at < size {
        let end = size.min(at + PART_BYTES);
        parts.push(Some(at..end));
        at = end;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_request_and_strangers_do_not() {
        assert_eq!(merged(vec![10..20, 0..5, 21..30], 1), [0..5, 10..30]);
        assert_eq!(merged(vec![10..20, 0..5, 21..30, 50..51], 5), [0..30, 50..51]);
        assert_eq!(merged(vec![0..100, 10..20, 200..201], 0), [0..100, 200..201]);
        assert_eq!(merged(vec![3..3, 5..6, 8..9], 0), [5..6, 8..9]);
        assert_eq!(merged(vec![], 9), Vec::<Range<u64>>::new());
    }

    #[test]
    fn parts_cover_the_object_from_the_given_byte_on() {
        assert_eq!(parts(100, 0, true), [None]);
        assert_eq!(parts(100, 40, true), [Some(40..100)]);
        assert_eq!(parts(SPLIT_ABOVE_BYTES * 8, 0, false), [None]);
        let size = SPLIT_ABOVE_BYTES + PART_BYTES / 2 + 7;
        let split = parts(size, 7, true);
        let mut at = 7;
        for part in split {
            let part = part.unwrap();
            assert_eq!(part.start, at);
            at = part.end;
        }
        assert_eq!(at, size);
    }
}
