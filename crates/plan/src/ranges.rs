//! Plans requests: ranges are merged over small gaps, and large objects are split into parts.

use std::ops::Range;

/// Two ranges with a gap of up to this many bytes become one request. A request takes about as long as this many bytes
/// at the speed of one connection, and costs another $0.0000004.
pub const MERGE_GAP_BYTES: u64 = 1 << 20;

/// One GET per object below this size; above it, parts of [`PART_BYTES`].
pub const SPLIT_ABOVE_BYTES: u64 = 256 << 20;

/// The length of one part of a split object.
pub const PART_BYTES: u64 = 8 << 20;

/// Fewer files than this at hand: a large one may have the connections to itself.
const ENOUGH_FILES: usize = 4;

/// Whether a file can use all connections, given the number of other files that are waiting or in flight.
#[must_use]
pub fn may_split(ready: usize, in_flight: usize) -> bool {
    ready + in_flight < ENOUGH_FILES
}

/// Merges ranges into requests. The result is sorted, covers every byte of the ranges, and joins neighbours with a gap
/// of at most `gap_bytes`. Empty ranges are dropped.
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

/// Consecutive steps are fetched together up to this many bytes: a file of many small row groups would otherwise cost a
/// request for each.
pub const TOGETHER_BYTES: u64 = 1 << 20;

/// The merged requests of a decoder that requests ranges step by step, for each fetch. A fetch serves one step, or
/// several small ones. Bytes that a step shares with the previous one are fetched once, and so are bytes after
/// `known_from`.
///
/// This bounds the requests for an object whose steps are not known by its size: see [`most_requests`].
#[must_use]
pub fn fetches(steps: &[Vec<Range<u64>>], known_from: u64) -> Vec<Vec<Range<u64>>> {
    let mut fetches: Vec<Vec<Range<u64>>> = Vec::new();
    let (mut together, mut together_bytes): (Vec<Range<u64>>, u64) = Default::default();
    let mut before: &[Range<u64>] = &[];
    for step in steps {
        let new = step.iter().filter(|range| range.start < known_from && !before.contains(range));
        let new = merged(new.cloned().collect(), MERGE_GAP_BYTES);
        before = step;
        let gap = match (together.last(), new.first()) {
            (Some(last), Some(first)) => first.start.checked_sub(last.end).filter(|gap| *gap <= MERGE_GAP_BYTES),
            _ => None,
        };
        let bytes = length_of(&new) + gap.unwrap_or_default();
        if !together.is_empty() && together_bytes + bytes > TOGETHER_BYTES {
            fetches.push(merged(std::mem::take(&mut together), MERGE_GAP_BYTES));
            together_bytes = 0;
        }
        together.extend(new);
        together_bytes += bytes;
    }
    if !together.is_empty() {
        fetches.push(merged(together, MERGE_GAP_BYTES));
    }
    fetches
}

/// The bytes of ranges.
#[must_use]
pub fn length_of(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| range.end - range.start).sum()
}

/// The maximum number of requests for an object of `size` bytes that is read by ranges, including its last bytes and
/// its metadata. The bound holds because two consecutive fetches have more than [`TOGETHER_BYTES`], and because the
/// requests of one fetch or of an index are further apart than [`MERGE_GAP_BYTES`].
#[must_use]
pub fn most_requests(size: u64, known_bytes: u64) -> u64 {
    match size {
        0 => 0,
        size if size <= known_bytes => 1,
        size => 4 + 2 * size / TOGETHER_BYTES + 2 * (size / MERGE_GAP_BYTES),
    }
}

/// The requests for an object of `size` bytes from byte `from` on. If the whole object is one request without a Range
/// header, the only value is `None`.
///
/// `may_split`: whether this file can use all connections, so that parts can be fetched in parallel.
#[must_use]
pub fn parts(size: u64, from: u64, may_split: bool) -> Vec<Option<Range<u64>>> {
    let rest = size.saturating_sub(from);
    if !may_split || rest <= SPLIT_ABOVE_BYTES {
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
    #[expect(clippy::single_range_in_vec_init, reason = "a fetch may have one range")]
    fn small_steps_are_fetched_together_and_large_ones_alone() {
        const MIB: u64 = 1 << 20;
        let small: Vec<Vec<Range<u64>>> = (0..100).map(|step| vec![step * 1000..step * 1000 + 100]).collect();
        assert_eq!(fetches(&small, MIB), [[0..99_100]]);
        assert_eq!(fetches(&small, 50_000), [[0..49_100]], "what is known is not asked for");
        let large = [vec![0..MIB], vec![MIB..2 * MIB, 9 * MIB..10 * MIB], vec![10 * MIB..10 * MIB + 5]];
        assert_eq!(
            fetches(&large, 99 * MIB),
            [vec![0..MIB], vec![MIB..2 * MIB, 9 * MIB..10 * MIB], vec![10 * MIB..10 * MIB + 5]]
        );
        let shared = [vec![0..10, 10..2 * MIB], vec![0..10, 2 * MIB..4 * MIB]];
        assert_eq!(fetches(&shared, 99 * MIB), [[0..2 * MIB], [2 * MIB..4 * MIB]], "a dictionary is fetched once");
    }

    /// However row groups lie in a file, its size bounds its requests.
    #[test]
    fn the_size_bounds_the_requests() {
        let mut random = 99_u64;
        let mut below = |end: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % end
        };
        for _ in 0..500 {
            let widest = 1 << (6 + below(18));
            let (mut at, mut steps) = (4, Vec::new());
            for _ in 0..1 + below(300) {
                let chunks = (0..1 + below(6)).map(|_| {
                    let start = at + below(widest);
                    at = start + 1 + below(widest);
                    start..at
                });
                steps.push(chunks.collect::<Vec<_>>());
            }
            let requests: usize = fetches(&steps, at).iter().map(Vec::len).sum();
            // Nothing of it is known before, as of a file that is larger than its tail.
            assert!(requests as u64 + 2 <= most_requests(at, 0), "{requests} requests for {at} bytes");
        }
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
