//! Dates and times in the forms of ISO 8601 that people write.

use chrono::{DateTime, NaiveDate, NaiveTime, Timelike as _};

use super::value::DAY_NANOS;

/// Nanoseconds since 1970 of `2024-01-31`, `2024-01-31T12:30`, `2024-01-31 12:30:00.123456789+02:00`. Without an offset
/// it is UTC.
#[must_use]
pub fn instant(text: &str) -> Option<i128> {
    let (date, rest) = text.split_at_checked(10)?;
    let days = days(date)?;
    if rest.is_empty() {
        return Some(days * DAY_NANOS);
    }
    let time = rest.strip_prefix(['T', 't', ' '])?;
    let end = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(end);
    let seconds = offset_seconds(zone)?;
    Some(days * DAY_NANOS + i128::from(time_of_day(time.trim_end())?) - i128::from(seconds) * 1_000_000_000)
}

/// The text of an instant, which [`instant`] reads where it is [`writable`].
pub(super) fn write_instant(nanos: i128) -> String {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX);
    let fraction = nanos.rem_euclid(1_000_000_000) as u32;
    match DateTime::from_timestamp(seconds, fraction) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string(),
        None => format!("{nanos} ns since 1970"),
    }
}

/// Whether the year of an instant has four digits.
pub(super) fn writable(nanos: i128) -> bool {
    const FIRST_DAY: i128 = -719_528;
    const END_DAY: i128 = 2_932_897;
    (FIRST_DAY * DAY_NANOS..END_DAY * DAY_NANOS).contains(&nanos)
}

/// Days since 1970 of `2024-01-31`.
fn days(text: &str) -> Option<i128> {
    let bytes = text.as_bytes();
    let shaped = bytes.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    if !shaped {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(text[..4].parse().ok()?, text[5..7].parse().ok()?, text[8..].parse().ok()?)?;
    Some(i128::from(date.signed_duration_since(NaiveDate::default()).num_days()))
}

/// Nanoseconds since midnight of `12:30`, `12:30:00` or `12:30:00.5`.
#[must_use]
pub fn time_of_day(text: &str) -> Option<i64> {
    let time = NaiveTime::parse_from_str(text, "%H:%M:%S%.f").or_else(|_| NaiveTime::parse_from_str(text, "%H:%M"));
    let time = time.ok()?;
    Some(i64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + i64::from(time.nanosecond()))
}

/// Seconds east of UTC of `Z`, `+02`, `+0200`, `+02:00` or nothing.
fn offset_seconds(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = digits.get(2..).filter(|text| !text.is_empty()).map_or(Some(0), |text| text.parse().ok())?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}
