//! What a configuration says about the partitions of a stream: the folders of a key that hold values.

use std::fmt;

use chrono::{DateTime, Datelike, Months, NaiveDate, Timelike, Utc};
use serde_json::Value;

use crate::object::Timestamp;

/// The partitions of a stream as they were asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Partitions {
    /// The names of the partitions, in the order of the folders. Empty: they are found out.
    pub keys: Vec<String>,
    /// The folders written out. With it nothing has to be found out.
    pub template: Option<Template>,
    /// The types of partitions. One that is not here is a string that is compared by what it looks like.
    pub types: Vec<(String, PartitionType)>,
    /// Which partitions are read.
    pub filter: Option<Filter>,
    /// How far behind the newest partition that a complete sync saw the next one begins, in seconds. Absent: an
    /// incremental sync lists all partitions.
    pub lookback_seconds: Option<i64>,
    /// Which partitions become columns.
    pub columns: PartitionColumns,
}

impl Partitions {
    /// The type that was given for a partition.
    #[must_use]
    pub fn type_of(&self, name: &str) -> Option<PartitionType> {
        self.types.iter().find(|(typed, _)| typed == name).map(|(_, kind)| *kind)
    }
}

/// Which values of a key become columns of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartitionColumns {
    /// None.
    #[default]
    None,
    /// Every `name=value` part of the key, its last one included, as in the connector we replace.
    HiveParts,
    /// Every `name=value` folder.
    Hive,
    /// The partitions of the layout, given or found.
    All,
}

impl PartitionColumns {
    /// The value of `partition_columns`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::HiveParts => "hive_parts",
            Self::Hive => "hive",
            Self::All => "all",
        }
    }
}

/// The type of a partition's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionType {
    /// Text: `01` stays `01`.
    String,
    /// A whole number: `01` is 1.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A day.
    Date,
    /// A point in time.
    Timestamp,
}

impl PartitionType {
    /// Every type.
    pub const ALL: [Self; 6] = [Self::String, Self::Integer, Self::Number, Self::Boolean, Self::Date, Self::Timestamp];

    /// The name in a configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
        }
    }
}

/// Folders written out, such as `{date}/TPU={tpu}/reactor={reactor}/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    levels: Vec<Vec<Part>>,
}

/// A piece of a folder's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Literal(String),
    /// The value of the partition with this name.
    Field(String),
}

impl Template {
    /// Reads a template. A folder `*` may have any name.
    ///
    /// # Errors
    /// What is wrong with it, to stand behind "is … ,".
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim_matches('/');
        if inner.is_empty() {
            return Err("a template has at least one folder".to_owned());
        }
        let levels: Vec<Vec<Part>> = inner.split('/').map(level).collect::<Result<_, _>>()?;
        let mut names: Vec<&str> = Vec::new();
        for name in levels.iter().flatten().filter_map(Part::field) {
            if names.contains(&name) {
                return Err(format!("'{{{name}}}' stands in it twice"));
            }
            names.push(name);
        }
        if names.is_empty() {
            return Err("it names no partition such as {date}".to_owned());
        }
        Ok(Self { text: text.to_owned(), levels })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The pieces of each folder; none for a folder of any name.
    #[must_use]
    pub fn levels(&self) -> &[Vec<Part>] {
        &self.levels
    }

    /// The partitions in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().flatten().filter_map(Part::field)
    }
}

impl Part {
    /// The name of a partition.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Field(name) => Some(name),
        }
    }
}

fn level(text: &str) -> Result<Vec<Part>, String> {
    if text == "*" {
        return Ok(Vec::new());
    }
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = text;
    while let Some((literal, behind)) = rest.split_once('{') {
        let (name, next) = behind.split_once('}').ok_or_else(|| format!("a '{{' in '{text}' is not closed"))?;
        if name.is_empty() || name.contains('{') {
            return Err(format!("'{text}' has a partition without a name"));
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.to_owned()));
        } else if matches!(parts.last(), Some(Part::Field(_))) {
            return Err(format!("in '{text}' two partitions stand beside each other with nothing between them"));
        }
        parts.push(Part::Field(name.to_owned()));
        rest = next;
    }
    if rest.contains('}') {
        return Err(format!("a '}}' in '{text}' was not opened"));
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    if parts.is_empty() {
        return Err("a folder has no name".to_owned());
    }
    Ok(parts)
}

/// `partition_filter`: all conditions must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// As it was written.
    pub written: Value,
    /// The conditions.
    pub conditions: Vec<Condition>,
}

/// What is asked of one partition. All tests must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The partition's name.
    pub column: String,
    /// The tests.
    pub tests: Vec<Test>,
}

/// A test of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It is one of these.
    OneOf(Vec<Operand>),
    /// It is none of these.
    NoneOf(Vec<Operand>),
    /// It stands on this side of that.
    Compare(Comparison, Operand),
}

/// A side of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `lt`
    Less,
    /// `lte`
    LessOrEqual,
    /// `gt`
    Greater,
    /// `gte`
    GreaterOrEqual,
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        })
    }
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// No value: `__HIVE_DEFAULT_PARTITION__`.
    Null,
    /// A text, or a time written out.
    Text(String),
    /// A number.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// A time relative to now.
    Now(Shift),
}

impl Operand {
    /// Whether it can be compared with values of a type.
    #[must_use]
    pub fn fits(&self, kind: Option<PartitionType>) -> bool {
        use PartitionType as T;
        match (self, kind) {
            (Self::Null, _) | (_, None) => true,
            (Self::Now(_), Some(kind)) => matches!(kind, T::Date | T::Timestamp),
            (Self::Text(text), Some(T::Date | T::Timestamp)) => Period::parse(text).is_some(),
            (Self::Text(text), Some(T::Integer | T::Number)) => text.parse::<f64>().is_ok(),
            (Self::Text(text), Some(T::Boolean)) => text.to_ascii_lowercase().parse::<bool>().is_ok(),
            (Self::Text(_), Some(T::String)) => true,
            (Self::Number(_), Some(kind)) => matches!(kind, T::Integer | T::Number),
            (Self::Boolean(_), Some(kind)) => kind == T::Boolean,
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Now(shift) => write!(f, "{shift}"),
        }
    }
}

/// A distance from now: `now-7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shift {
    /// Months of the calendar.
    pub months: i32,
    /// Seconds.
    pub seconds: i64,
}

impl Shift {
    /// Reads `now`, `now-1d`, `now+6h`; the units are `s`, `m` (minutes), `h`, `d`, `w`, `M` (months), `y`. `None` where
    /// the text is no such time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("now")?;
        if rest.is_empty() {
            return Some(Self::default());
        }
        let sign = match rest.as_bytes()[0] {
            b'-' => -1,
            b'+' => 1,
            _ => return None,
        };
        let (count, unit) = span(&rest[1..])?;
        match unit {
            "M" | "y" => {
                let months = i32::try_from(count).ok()?.checked_mul(if unit == "y" { 12 } else { 1 })?;
                Some(Self { months: sign * months, seconds: 0 })
            }
            _ => Some(Self { months: 0, seconds: i64::from(sign) * seconds(count, unit)? }),
        }
    }

    /// The time at this distance from `now`.
    #[must_use]
    pub fn from(self, now: Timestamp) -> Timestamp {
        let moved = now.to_utc().and_then(|utc| match self.months {
            0 => Some(utc),
            back if back < 0 => utc.checked_sub_months(Months::new(back.unsigned_abs())),
            on => utc.checked_add_months(Months::new(on.unsigned_abs())),
        });
        moved.map_or(now, |utc| Timestamp::from_micros(utc.timestamp_micros())).plus_seconds(self.seconds)
    }
}

impl fmt::Display for Shift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("now")?;
        if self.months != 0 {
            write!(f, "{:+}M", self.months)?;
        }
        if self.seconds % 86_400 == 0 && self.seconds != 0 {
            write!(f, "{:+}d", self.seconds / 86_400)?;
        } else if self.seconds != 0 {
            write!(f, "{:+}s", self.seconds)?;
        }
        Ok(())
    }
}

/// Reads a span of time such as `3d`: seconds. Months and years have no fixed length and are not read.
#[must_use]
pub fn span_seconds(text: &str) -> Option<i64> {
    let (count, unit) = span(text)?;
    seconds(count, unit)
}

fn span(text: &str) -> Option<(i64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    Some((count.parse().ok()?, unit))
}

fn seconds(count: i64, unit: &str) -> Option<i64> {
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    // A thousand years and more are a mistake, and sums of them would leave the calendar.
    count.checked_mul(unit).filter(|seconds| *seconds < 1000 * 366 * 86_400)
}

/// How long a unit of time is that a value stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// A year.
    Year,
    /// A month.
    Month,
    /// A day.
    Day,
    /// An hour.
    Hour,
    /// A single point.
    Instant,
}

/// A span of time: `2024-01` is all of January.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first point.
    pub start: Timestamp,
    /// The first point behind it.
    pub end: Timestamp,
    /// What it is.
    pub unit: Unit,
}

impl Period {
    /// The unit of time around a point. `None` outside of the calendar.
    #[must_use]
    pub fn around(at: Timestamp, unit: Unit) -> Option<Self> {
        let utc: DateTime<Utc> = at.to_utc()?;
        let (month, day) = match unit {
            Unit::Year => (1, 1),
            Unit::Month => (utc.month(), 1),
            _ => (utc.month(), utc.day()),
        };
        let date = NaiveDate::from_ymd_opt(utc.year(), month, day)?;
        let hour = if unit == Unit::Hour { utc.hour() } else { 0 };
        match unit {
            Unit::Instant => Some(Self { start: at, end: Timestamp::from_micros(at.micros().checked_add(1)?), unit }),
            _ => Self::of(date, hour, unit),
        }
    }

    /// A period by its calendar parts.
    #[must_use]
    pub fn of_parts(year: i32, month: Option<u32>, day: Option<u32>, hour: Option<u32>) -> Option<Self> {
        let unit = match (month, day, hour) {
            (None, ..) => Unit::Year,
            (_, None, _) => Unit::Month,
            (_, _, None) => Unit::Day,
            _ => Unit::Hour,
        };
        let date = NaiveDate::from_ymd_opt(year, month.unwrap_or(1), month.and(day).unwrap_or(1))?;
        Self::of(date, if unit == Unit::Hour { hour.unwrap_or(0) } else { 0 }, unit)
    }

    fn of(date: NaiveDate, hour: u32, unit: Unit) -> Option<Self> {
        let start = date.and_hms_opt(hour, 0, 0)?.and_utc();
        let end = match unit {
            Unit::Year => start.checked_add_months(Months::new(12))?,
            Unit::Month => start.checked_add_months(Months::new(1))?,
            Unit::Day => start + chrono::TimeDelta::days(1),
            _ => start + chrono::TimeDelta::hours(1),
        };
        let at = |time: DateTime<Utc>| Timestamp::from_micros(time.timestamp_micros());
        Some(Self { start: at(start), end: at(end), unit })
    }

    /// Reads the times that partitions are named by: `2024`, `2024-01`, `2024-01-15`, `20240115`, each day also with an
    /// hour behind it (`2024-01-15-03`, `2024-01-15T03`, `2024011503`), and whole points in time.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = |range: std::ops::Range<usize>| -> Option<u32> {
            let part = bytes.get(range)?;
            part.iter().all(u8::is_ascii_digit).then(|| part.iter().fold(0, |sum, b| sum * 10 + u32::from(b - b'0')))
        };
        let year = i32::try_from(digits(0..4)?).ok()?;
        let dashed = bytes.get(4) == Some(&b'-');
        let period = match (bytes.len(), dashed) {
            (4, _) => Self::of_parts(year, None, None, None),
            (7, true) => Self::of_parts(year, Some(digits(5..7)?), None, None),
            (8, false) => Self::of_parts(year, Some(digits(4..6)?), Some(digits(6..8)?), None),
            (10, false) => Self::of_parts(year, Some(digits(4..6)?), Some(digits(6..8)?), Some(digits(8..10)?)),
            (10, true) if bytes[7] == b'-' => Self::of_parts(year, Some(digits(5..7)?), Some(digits(8..10)?), None),
            (13, true) if bytes[7] == b'-' && matches!(bytes[10], b'-' | b'T' | b' ' | b'_') => {
                Self::of_parts(year, Some(digits(5..7)?), Some(digits(8..10)?), Some(digits(11..13)?))
            }
            _ => None,
        };
        // Shorter texts have one of the forms above: chrono would take `2024-1-5` too, which is out of order in a listing.
        period.or_else(|| {
            // An offset would give it another one as well.
            let text =
                Some(text).filter(|text| text.len() >= 16 && !bytes[10..].iter().any(|b| matches!(b, b'+' | b'-')))?;
            let at = Timestamp::parse(text).or_else(|| Timestamp::parse(&text.replacen(' ', "T", 1)))?;
            Self::around(at, Unit::Instant)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read_folder_by_folder() {
        let template = Template::parse("{date}/TPU={tpu}/*/x-{a}-{b}/").unwrap();
        assert_eq!(template.fields().collect::<Vec<_>>(), ["date", "tpu", "a", "b"]);
        assert_eq!(template.levels().len(), 4);
        for (text, part) in [
            ("/", "at least one"),
            ("a/b", "no partition"),
            ("{a}{b}", "beside"),
            ("{a", "not closed"),
            ("a}/{b}", "not opened"),
            ("{}", "without a name"),
            ("{a}/{a}", "twice"),
            ("{a}//{b}", "no name"),
        ] {
            let error = Template::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn times_relative_to_now() {
        let now = Timestamp::parse("2024-03-31T12:00:00Z").unwrap();
        for (text, expected) in [
            ("now", "2024-03-31T12:00:00.000000Z"),
            ("now-1d", "2024-03-30T12:00:00.000000Z"),
            ("now+6h", "2024-03-31T18:00:00.000000Z"),
            ("now-2w", "2024-03-17T12:00:00.000000Z"),
            ("now-30m", "2024-03-31T11:30:00.000000Z"),
            ("now-1M", "2024-02-29T12:00:00.000000Z"),
            ("now-1y", "2023-03-31T12:00:00.000000Z"),
        ] {
            assert_eq!(Shift::parse(text).unwrap().from(now).to_string(), expected, "{text}");
        }
        for text in ["now-", "now-1", "now-1x", "nowadays", "now1d", "yesterday", "now-99999999999999y"] {
            assert_eq!(Shift::parse(text), None, "{text}");
        }
        assert_eq!(span_seconds("3d"), Some(3 * 86_400));
        assert_eq!(span_seconds("1M"), None);
    }

    #[test]
    fn periods_of_every_spelling() {
        for (text, start, end) in [
            ("2024", "2024-01-01T00:00:00", "2025-01-01T00:00:00"),
            ("2024-02", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
            ("2024-02-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
            ("20240229", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
            ("2024-02-29-23", "2024-02-29T23:00:00", "2024-03-01T00:00:00"),
            ("2024-02-29T23", "2024-02-29T23:00:00", "2024-03-01T00:00:00"),
            ("2024022907", "2024-02-29T07:00:00", "2024-02-29T08:00:00"),
            ("2024-02-29 23:15:00", "2024-02-29T23:15:00", "2024-02-29T23:15:00.000001"),
        ] {
            let period = Period::parse(text).unwrap_or_else(|| panic!("{text}"));
            let at = |text: &str| Timestamp::parse(text).unwrap();
            assert_eq!((period.start, period.end), (at(start), at(end)), "{text}");
        }
        for text in ["", "24", "2024-13", "2024-02-30", "20240230", "2024-1-5", "abcd", "2024-02-29-24", "１２３４"]
        {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }
}
