//! Dates and times as Python's `isoformat` writes them: the form that Airbyte's file-based connectors emit.
//!
//! Fractions have six digits, none where the fraction is zero, and nine where microseconds do not suffice. Years
//! outside of 0 to 9999, which Python does not have, are written in ISO 8601's expanded form (`+12024-01-01`).

use arrow::datatypes::TimeUnit;

use super::line::Line;
use super::zone::Zone;
use tollgate_base::calendar::civil;

const DAY_SECONDS: i64 = 86_400;

/// `"2024-02-29"`, for days since 1970.
#[inline]
pub(super) fn write_date(days: i64, line: &mut Line) {
    line.byte(b'"');
    date(days, line);
    line.byte(b'"');
}

/// `"01:02:03.004000"`, for a time since midnight. `None` when that is not within a day.
pub(super) fn write_time(value: i64, unit: TimeUnit, line: &mut Line) -> Option<()> {
    let per_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let seconds = value.div_euclid(per_second);
    if !(0..DAY_SECONDS).contains(&seconds) {
        return None;
    }
    line.byte(b'"');
    line.array(clock(seconds as u32));
    fraction((value.rem_euclid(per_second) * (1_000_000_000 / per_second)) as u32, line);
    line.byte(b'"');
    Some(())
}

/// `"2024-01-02T03:04:05.000006+00:00"`, for a time since 1970.
#[inline]
pub(super) fn write_timestamp(value: i64, unit: TimeUnit, zone: &Zone, line: &mut Line) {
    // Written out per unit, so that each division is by a constant.
    let (seconds, nanos) = match unit {
        TimeUnit::Second => (value, 0),
        TimeUnit::Millisecond => (value.div_euclid(1_000), value.rem_euclid(1_000) * 1_000_000),
        TimeUnit::Microsecond => (value.div_euclid(1_000_000), value.rem_euclid(1_000_000) * 1_000),
        TimeUnit::Nanosecond => (value.div_euclid(1_000_000_000), value.rem_euclid(1_000_000_000)),
    };
    let offset = match zone {
        Zone::Naive => 0,
        Zone::Fixed(offset) => *offset,
        Zone::Named(place) => whole_minutes(place.offset(seconds)),
    };
    // Saturation touches only times in the last hours of i64's 292 billion years.
    let local = seconds.saturating_add(i64::from(offset));
    line.byte(b'"');
    date(local.div_euclid(DAY_SECONDS), line);
    let [a, b, c, d, e, f, g, h] = clock(local.rem_euclid(DAY_SECONDS) as u32);
    line.array([b'T', a, b, c, d, e, f, g, h]);
    fraction(nanos as u32, line);
    match zone {
        Zone::Naive => line.byte(b'"'),
        Zone::Fixed(0) => line.array(*b"+00:00\""),
        Zone::Fixed(_) | Zone::Named(_) => {
            offset_text(offset, line);
            line.byte(b'"');
        }
    }
}

#[inline(always)]
fn date(days: i64, line: &mut Line) {
    let (year, month, day) = civil(days);
    let [m, d] = [pair(month), pair(day)];
    if (0..=9999).contains(&year) {
        let [c, y] = [pair(year as u32 / 100), pair(year as u32 % 100)];
        line.array([c[0], c[1], y[0], y[1], b'-', m[0], m[1], b'-', d[0], d[1]]);
    } else {
        expanded_year(year, line);
        line.array([b'-', m[0], m[1], b'-', d[0], d[1]]);
    }
}

#[cold]
fn expanded_year(year: i64, line: &mut Line) {
    line.byte(if year < 0 { b'-' } else { b'+' });
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(year.unsigned_abs()).as_bytes();
    for _ in digits.len()..4 {
        line.byte(b'0');
    }
    line.put(digits);
}

#[inline(always)]
fn clock(seconds: u32) -> [u8; 8] {
    let [h, m, s] = [pair(seconds / 3600), pair(seconds / 60 % 60), pair(seconds % 60)];
    [h[0], h[1], b':', m[0], m[1], b':', s[0], s[1]]
}

#[inline(always)]
fn fraction(nanos: u32, line: &mut Line) {
    if nanos == 0 {
        return;
    }
    let (micros, rest) = (nanos / 1_000, nanos % 1_000);
    let [a, b, c] = [pair(micros / 10_000), pair(micros / 100 % 100), pair(micros % 100)];
    line.array([b'.', a[0], a[1], b[0], b[1], c[0], c[1]]);
    if rest != 0 {
        let low = pair(rest % 100);
        line.array([b'0' + (rest / 100) as u8, low[0], low[1]]);
    }
}

/// An offset in whole minutes, as RFC 3339 has it. Only local mean times, from before zones were agreed on, have seconds.
fn whole_minutes(offset: i32) -> i32 {
    (offset + 30).div_euclid(60) * 60
}

fn offset_text(seconds: i32, line: &mut Line) {
    let minutes = seconds.unsigned_abs() / 60;
    let [h, m] = [pair(minutes / 60), pair(minutes % 60)];
    line.array([if seconds < 0 { b'-' } else { b'+' }, h[0], h[1], b':', m[0], m[1]]);
}

/// Two decimal digits.
#[inline(always)]
fn pair(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timestamp(value: i64, unit: TimeUnit, zone: Zone) -> String {
        let mut line = Line::new();
        write_timestamp(value, unit, &zone, &mut line);
        line.text().to_owned()
    }

    #[test]
    fn timestamps_have_the_text_of_python() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let utc = || Zone::Fixed(0);
        for (value, unit, zone, text) in [
            (1_704_164_645_000_006, Microsecond, Zone::Naive, "2024-01-02T03:04:05.000006"),
            (1_704_164_645_000_000, Microsecond, Zone::Naive, "2024-01-02T03:04:05"),
            (1_704_164_645, Second, utc(), "2024-01-02T03:04:05+00:00"),
            (1_704_164_645_006, Millisecond, utc(), "2024-01-02T03:04:05.006000+00:00"),
            (1_704_164_645_000_000_123, Nanosecond, Zone::Naive, "2024-01-02T03:04:05.000000123"),
            (1_704_164_645_000_001_000, Nanosecond, Zone::Naive, "2024-01-02T03:04:05.000001"),
            (1_719_889_445, Second, Zone::Fixed(7200), "2024-07-02T05:04:05+02:00"),
            (0, Second, Zone::Fixed(-12_600), "1969-12-31T20:30:00-03:30"),
            (-1, Nanosecond, Zone::Naive, "1969-12-31T23:59:59.999999999"),
            (-62_135_596_800, Second, Zone::Naive, "0001-01-01T00:00:00"),
            (253_402_300_800, Second, Zone::Naive, "+10000-01-01T00:00:00"),
            (i64::MAX, Second, Zone::Fixed(86_340), "+292277026596-12-04T15:30:07+23:59"),
            (i64::MIN, Second, Zone::Fixed(-86_340), "-292277022657-01-27T08:29:52-23:59"),
            (i64::MIN, Microsecond, Zone::Naive, "-290308-12-21T19:59:05.224192"),
        ] {
            assert_eq!(timestamp(value, unit, zone), format!("\"{text}\""), "{value} {unit:?}");
        }
    }

    #[test]
    fn local_mean_times_have_whole_minutes() {
        assert_eq!([-17_762, -17_760, 3_208, 0, 29, 30].map(whole_minutes), [-17_760, -17_760, 3_180, 0, 0, 60]);
    }

    #[test]
    fn times_have_the_text_of_python() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        for (value, unit, text) in [
            (3723, Second, Some("01:02:03")),
            (3_723_004, Millisecond, Some("01:02:03.004000")),
            (86_399_999_999, Microsecond, Some("23:59:59.999999")),
            (1, Nanosecond, Some("00:00:00.000000001")),
            (86_400, Second, None),
            (-1, Nanosecond, None),
            (i64::MIN, Nanosecond, None),
        ] {
            let mut line = Line::new();
            let done = write_time(value, unit, &mut line);
            assert_eq!(
                done.map(|()| line.text().to_owned()),
                text.map(|text| format!("\"{text}\"")),
                "{value} {unit:?}"
            );
        }
    }
}
