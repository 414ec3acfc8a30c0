//! Texts → dates and times. Texts that tell more than a field's type holds do not fit.

use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime, string_to_time_nanoseconds};
use arrow::datatypes::{Date32Type, TimeUnit};
use chrono::FixedOffset;

use super::cell::Cell;
use crate::arrow::Zone;

const DAY_NANOS: i64 = 86_400_000_000_000;

/// Days since 1970 of `2024-02-29`, and of years beyond four digits in ISO 8601's expanded form (`+12024-01-01`).
pub(super) fn date(cell: &Cell<'_>) -> Option<i32> {
    let text = cell.string()?;
    // The parser takes more forms, and of a timestamp the date alone.
    let usual = text.len() == 10 && text.as_bytes().get(4) == Some(&b'-');
    (usual || text.starts_with(['+', '-'])).then(|| Date32Type::parse(&text))?
}

/// A time of day in units since midnight.
pub(super) fn time(cell: &Cell<'_>, unit: TimeUnit) -> Option<i64> {
    let text = cell.string()?;
    let bytes = text.as_bytes();
    // The parser takes clocks of twelve hours too.
    if bytes.get(2) != Some(&b':') || !bytes.last()?.is_ascii_digit() || beyond_nanos(&text) {
        return None;
    }
    let nanos = string_to_time_nanoseconds(&text).ok().filter(|nanos| *nanos < DAY_NANOS)?;
    exactly(0, nanos, unit)
}

/// Where the clock of a timestamp without an offset stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// So many seconds east of UTC.
    At(FixedOffset),
    /// In a place where clocks change: such a text does not fit.
    Unknown,
}

impl Clock {
    /// The clock of a field's time zone, UTC where it has none.
    pub(super) fn of(zone: Option<&str>) -> Self {
        let offset = match Zone::of(zone) {
            Zone::Naive => Some(0),
            Zone::Fixed(offset) => Some(offset),
            Zone::Named(_) => None,
        };
        offset.and_then(FixedOffset::east_opt).map_or(Self::Unknown, Self::At)
    }
}

/// A time in units since 1970 in UTC.
pub(super) fn timestamp(cell: &Cell<'_>, unit: TimeUnit, clock: Clock) -> Option<i64> {
    let text = cell.string()?;
    if beyond_nanos(&text) {
        return None;
    }
    let offset = match clock {
        Clock::At(offset) => offset,
        Clock::Unknown if has_offset(&text) => FixedOffset::east_opt(0)?,
        Clock::Unknown => return None,
    };
    let instant = string_to_datetime(&offset, &text).ok()?;
    exactly(instant.timestamp(), instant.timestamp_subsec_nanos().into(), unit)
}

/// Whether a timestamp tells how far its clock is from UTC.
fn has_offset(text: &str) -> bool {
    text.get(10..).is_some_and(|time| time.contains(['Z', 'z', '+', '-']))
}

/// Whether a time has digits, zeros aside, after those of nanoseconds, which are as many as Arrow's parsers look at.
fn beyond_nanos(text: &str) -> bool {
    let Some((_, fraction)) = text.split_once('.') else { return false };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    digits.skip(9).any(|digit| digit != b'0')
}

/// A time in units; `None` where it lies between two of them, or is out of range.
fn exactly(seconds: i64, nanos: i64, unit: TimeUnit) -> Option<i64> {
    let (per_second, nanos_each) = match unit {
        TimeUnit::Second => (1, 1_000_000_000),
        TimeUnit::Millisecond => (1_000, 1_000_000),
        TimeUnit::Microsecond => (1_000_000, 1_000),
        TimeUnit::Nanosecond => (1_000_000_000, 1),
    };
    if nanos % nanos_each != 0 {
        return None;
    }
    seconds.checked_mul(per_second)?.checked_add(nanos / nanos_each)
}

#[cfg(test)]
mod tests {
    use super::super::cell::CellKind;
    use super::*;

    fn text(text: &str) -> Cell<'_> {
        Cell { text, row: 0, kind: CellKind::Text }
    }

    #[test]
    fn dates_are_whole_days() {
        for (written, days) in [
            ("1970-01-02", Some(1)),
            ("2024-02-29", Some(19_782)),
            ("2023-02-29", None),
            ("+12024-01-01", Some(3_672_148)),
            ("20240229", None),
            ("2024-2-9", None),
            ("2024-02-29T00:00:00", None),
            ("", None),
            ("日本語日", None),
        ] {
            assert_eq!(date(&text(written)), days, "'{written}'");
        }
        assert_eq!(date(&Cell::of_json("\"1970-01-02\"", 0)), Some(1));
        assert_eq!(date(&Cell::of_json("19700102", 0)), None);
    }

    #[test]
    fn times_of_day_lose_no_digit() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        for (written, unit, value) in [
            ("01:02", Second, Some(3720)),
            ("01:02:03", Second, Some(3723)),
            ("01:02:03.5", Second, None),
            ("01:02:03.004", Millisecond, Some(3_723_004)),
            ("01:02:03.000004000000", Microsecond, Some(3_723_000_004)),
            ("00:00:00.0000000001", Nanosecond, None),
            ("23:59:59.999999999", Nanosecond, Some(DAY_NANOS - 1)),
            ("23:59:60", Second, None),
            ("24:00:00", Second, None),
            ("1:02:03", Second, None),
            ("01:02 PM", Second, None),
            ("0102", Second, None),
            ("", Second, None),
        ] {
            assert_eq!(time(&text(written), unit), value, "'{written}' {unit:?}");
        }
    }

    #[test]
    fn timestamps_lose_no_digit_and_keep_their_instant() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let day = 1_704_164_645;
        for (written, unit, zone, value) in [
            ("2024-01-02T03:04:05", Second, None, Some(day)),
            ("2024-01-02 03:04:05Z", Second, Some("UTC"), Some(day)),
            ("2024-01-02T03:04:05+00:00", Millisecond, Some("UTC"), Some(day * 1_000)),
            ("2024-01-02T05:04:05+02:00", Second, None, Some(day)),
            ("2024-01-02T03:04:05.000006", Microsecond, None, Some(day * 1_000_000 + 6)),
            ("2024-01-02T03:04:05.000006", Millisecond, None, None),
            ("2024-01-02T03:04:05.0000060001", Nanosecond, None, None),
            ("2024-01-02", Second, None, Some(1_704_153_600)),
            ("1969-12-31T23:59:59.5", Millisecond, None, Some(-500)),
            ("0001-01-01T00:00:00", Microsecond, None, Some(-62_135_596_800_000_000)),
            ("0001-01-01T00:00:00", Nanosecond, None, None),
            ("2024-01-02T03:04:05", Second, Some("+02:00"), Some(day - 7200)),
            ("2024-01-02T03:04:05", Second, Some("Europe/Berlin"), None),
            ("2024-01-02T03:04:05-01:00", Second, Some("Europe/Berlin"), Some(day + 3600)),
            ("2024-01-02T03:04", Second, None, None),
            ("2024-13-02T03:04:05", Second, None, None),
            ("2024-01-02T03:04:05 somewhere", Second, None, None),
            ("1704164645", Second, None, None),
        ] {
            assert_eq!(timestamp(&text(written), unit, Clock::of(zone)), value, "'{written}' {unit:?} {zone:?}");
        }
    }
}
