//! The memory of files whose keys the state has no room for: sets of numbers, by modification time.
//!
//! ```text
//!   time →   │ 32 oldest days, one each │ the days between      │ the late window       │ after the listing
//!   sets     │ ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪  │ ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪  │ ▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪  │ ▪ (skewed clocks)
//! ```
//!
//! Each part has its own set because a set can recover only a limited number of differences (see [`super::sketch`]),
//! and the parts change for different reasons: objects appear late inside the window, expire by whole days at the old
//! end, and have times in the future if the clock of a server is wrong. A part that vanished completely needs no room,
//! so a lifecycle rule costs nothing as long as there is a sync at least every 32 days. Between these parts, one set is
//! better than many, because its room is available to any day with differences. The layout of the parts is computed
//! again after each listing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sketch::Set;
use tollgate_base::object::Timestamp;

/// Cells of all parts together: 330 kB, 440 kB as text. They recover about 24,000 differences.
pub(super) const CELLS: usize = 33_000;

/// A part has at least so many cells.
const CELLS_AT_LEAST: usize = 40;

/// Days at the old end that have a part each: lifecycle rules delete whole days.
const SINGLE_DAYS: usize = 32;

/// Shares of the cells. A difference beyond the window that cannot be recovered leaves files in doubt, one inside it
/// reads files again, so both have about the same.
const SINGLE_DAY_WEIGHT: usize = 1;
const BETWEEN_WEIGHT: usize = 56;
const WINDOW_WEIGHT: usize = 56;
const FUTURE_WEIGHT: usize = 6;

/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;

/// The parts, by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SeenFiles {
    parts: Vec<TimePart>,
}

/// The files of a time that were read and whose keys are forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimePart {
    /// The earliest time in it; it ends where the next begins.
    pub(super) from: Timestamp,
    /// How many files it holds.
    pub(super) files: u64,
    /// The space of its set.
    cells: usize,
    pub(super) set: Set,
}

/// A part in the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPart {
    from_micros: i64,
    files: u64,
    cells: usize,
    /// Whether `set` is a table, else it is a list.
    table: bool,
    set: String,
}

/// How many listed files there are per day, for the layout.
#[derive(Debug, Clone, Default)]
pub(super) struct Days {
    /// By days since 1970.
    counts: BTreeMap<i64, u64>,
    /// Those later than the listing.
    future: u64,
}

impl Days {
    pub(super) fn add(&mut self, modified_at: Timestamp, listed_at: Timestamp) {
        if modified_at > listed_at {
            self.future += 1;
        } else {
            *self.counts.entry(day(modified_at)).or_default() += 1;
        }
    }
}

fn day(at: Timestamp) -> i64 {
    at.micros().div_euclid(DAY * 1_000_000)
}

fn start_of(day: i64) -> Timestamp {
    Timestamp::from_seconds(day.saturating_mul(DAY), 0)
}

impl SeenFiles {
    /// Empty parts for the files of a listing, within so many cells.
    pub(super) fn layout(days: &Days, window_from: Timestamp, listed_at: Timestamp, cells: usize) -> Self {
        let window_day = day(window_from);
        let old: Vec<(i64, u64)> = days.counts.range(..window_day).map(|(&day, &count)| (day, count)).collect();
        let single_days = SINGLE_DAYS.min(cells / 5 / CELLS_AT_LEAST);
        let (single, between) = old.split_at(old.len().min(single_days));
        // (earliest time, files, weight of its share of the cells)
        let mut plan: Vec<(Timestamp, u64, usize)> =
            single.iter().map(|&(day, count)| (start_of(day), count, SINGLE_DAY_WEIGHT)).collect();
        if let Some((day, _)) = between.first() {
            plan.push((start_of(*day), between.iter().map(|(_, count)| count).sum(), BETWEEN_WEIGHT));
        }
        let inside = days.counts.range(window_day..).map(|(_, count)| count).sum();
        plan.push((start_of(window_day), inside, WINDOW_WEIGHT));
        plan.push((listed_at.max(start_of(window_day)), days.future, FUTURE_WEIGHT));
        // Files may appear that are older than all that were listed.
        plan[0].0 = Timestamp::from_micros(i64::MIN);
        Self { parts: with_cells(&plan, cells) }
    }

    /// Adds a file. Without a layout there is one part for all times.
    pub(super) fn add(&mut self, modified_at: Timestamp, number: u64) {
        if self.parts.is_empty() {
            let from = Timestamp::from_micros(i64::MIN);
            self.parts.push(TimePart { from, files: 0, cells: CELLS, set: Set::empty() });
        }
        let index = self.index_of(modified_at).unwrap_or(0);
        let part = &mut self.parts[index];
        part.files = part.files.saturating_add(1);
        part.set.add(number, part.cells);
    }

    /// The place of the part that a time belongs to.
    pub(super) fn index_of(&self, modified_at: Timestamp) -> Option<usize> {
        self.parts.partition_point(|part| part.from <= modified_at).checked_sub(1)
    }

    pub(super) fn parts(&self) -> &[TimePart] {
        &self.parts
    }

    /// Whether no file was forgotten.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.files == 0)
    }

    /// Bytes in the state, somewhat overestimated.
    pub(super) fn text_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.set.text_bytes() + 128).sum()
    }

    pub(super) fn save(&self) -> Vec<SavedPart> {
        if self.is_empty() {
            return Vec::new();
        }
        let save = |part: &TimePart| SavedPart {
            from_micros: part.from.micros(),
            files: part.files,
            cells: part.cells,
            table: matches!(part.set, Set::Table(_)),
            set: part.set.text(),
        };
        self.parts.iter().map(save).collect()
    }

    /// The memory that was saved; `None` when it is not one.
    pub(super) fn read(saved: &[SavedPart]) -> Option<Self> {
        let read = |part: &SavedPart| {
            let set = Set::read(&part.set, part.table)?;
            let from = Timestamp::from_micros(part.from_micros);
            Some(TimePart { from, files: part.files, cells: part.cells.clamp(4, CELLS * 4), set })
        };
        let parts: Vec<TimePart> = saved.iter().map(read).collect::<Option<_>>()?;
        parts.is_sorted_by_key(|part| part.from).then_some(Self { parts })
    }
}

/// Shares the cells out by weight. A part that needs less than its share leaves the rest to the others; it then holds
/// its numbers themselves, so that no difference is too large for it.
fn with_cells(plan: &[(Timestamp, u64, usize)], cells: usize) -> Vec<TimePart> {
    let needs = |files: u64| Set::cells_for(usize::try_from(files).unwrap_or(usize::MAX / 16)) + CELLS_AT_LEAST;
    let mut order: Vec<usize> = (0..plan.len()).collect();
    order.sort_by_key(|&index| needs(plan[index].1) / plan[index].2);
    let (mut cells_left, mut weight_left) = (cells, plan.iter().map(|(_, _, weight)| weight).sum::<usize>());
    let mut of_parts = vec![0; plan.len()];
    for index in order {
        let (_, files, weight) = plan[index];
        let share = cells_left * weight / weight_left;
        of_parts[index] = needs(files).min(share).max(CELLS_AT_LEAST).next_multiple_of(4);
        cells_left = cells_left.saturating_sub(of_parts[index]);
        weight_left -= weight;
    }
    let parts = plan.iter().zip(of_parts);
    parts.map(|(&(from, ..), cells)| TimePart { from, files: 0, cells, set: Set::empty() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 20_000 * DAY + 40_000;

    fn layout(files: &[(i64, u64)]) -> SeenFiles {
        let now = Timestamp::from_seconds(NOW, 0);
        let mut days = Days::default();
        for &(day, count) in files {
            (0..count).for_each(|_| days.add(start_of(day), now));
        }
        SeenFiles::layout(&days, now.plus_seconds(-7 * DAY), now, CELLS)
    }

    fn cells(memory: &SeenFiles) -> Vec<usize> {
        memory.parts.iter().map(|part| part.cells).collect()
    }

    #[test]
    fn small_parts_have_room_for_their_files_and_large_ones_share_the_rest() {
        let few = layout(&[(19_000, 100), (19_999, 1000)]);
        assert_eq!(cells(&few), [120, 840, 40]);
        assert_eq!(few.parts[0].from.micros(), i64::MIN);
        let year: Vec<(i64, u64)> = (19_600..20_001).map(|day| (day, 2_500)).collect();
        let year = cells(&layout(&year));
        assert_eq!(year.len(), SINGLE_DAYS + 3);
        assert!(year.iter().sum::<usize>() <= CELLS + 40, "{year:?}");
        assert!(year[..SINGLE_DAYS].iter().all(|&cells| cells > 200), "{year:?}");
        assert!(year[SINGLE_DAYS] > CELLS / 3 && year[SINGLE_DAYS + 1] > CELLS / 3, "{year:?}");
        let one_day = cells(&layout(&[(20_000, 1_000_000)]));
        assert!(one_day[0] > CELLS - 100, "{one_day:?}");
    }

    #[test]
    fn files_go_to_the_part_of_their_time_and_come_back_from_the_state() {
        let mut memory = layout(&[(19_000, 3), (19_998, 3)]);
        for (day, number) in [(18_000, 1), (19_000, 2), (19_998, 3), (30_000, 4)] {
            memory.add(start_of(day), number);
        }
        assert_eq!(memory.parts.iter().map(|part| part.files).collect::<Vec<_>>(), [2, 1, 1]);
        let saved = memory.save();
        assert_eq!(SeenFiles::read(&saved), Some(memory.clone()));
        assert_eq!(SeenFiles::read(&saved.into_iter().rev().collect::<Vec<_>>()), None);
        assert!(layout(&[(19_000, 3)]).save().is_empty(), "an empty memory needs no place");
    }
}
