//! The configured partitions of a stream: the folders of a key that hold values.

use std::fmt;

use chrono::{DateTime, Datelike, Months, NaiveDate, Timelike, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::Timestamp;

/// The configured partitions of a stream.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Partitions {
    /// The names of the partitions, in the order of the folders. If empty, they are inferred.
    pub keys: Vec<String>,
    /// The pattern of the folders. With a template, nothing is inferred.
    pub template: Option<Template>,
    /// The types of partitions. A partition that is not here is a string. In comparisons, its values are dates if they
    /// look like dates.
    pub types: Vec<(String, PartitionType)>,
    /// Which partitions are read.
    pub filter: Option<Filter>,
    /// How far before the newest partition of the last complete sync the next sync starts, in seconds. If absent, an
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = crate::choice::words_only)]
pub enum PartitionColumns {
    /// None.
    #[default]
    None,
    /// Every `name=value` folder.
    Hive,
    /// Every `name=value` part of the key, including the last one, as in the connector we replace.
    HiveParts,
    /// All partitions of the layout, configured or detected.
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

/// A pattern of folders, such as `{date}/TPU={tpu}/reactor={reactor}/`.
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
    /// A description of what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let inner = text.trim_matches('/');
        if inner.is_empty() {
            return Err("a template has at least one folder".to_owned());
        }
        let levels: Vec<Vec<Part>> = inner.split('/').map(level).collect::<Result<_, _>>()?;
        let mut names: Vec<&str> = Vec::new();
        for name in levels.iter().flatten().filter_map(Part::field) {
            if names.contains(&name) {
                return Err(format!("'{{{name}}}' occurs twice in it"));
            }
            names.push(name);
        }
        if names.is_empty() {
            return Err("it names no partition, such as {date}".to_owned());
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
            return Err(format!("two partitions in '{text}' have nothing between them"));
        }
        parts.push(Part::Field(name.to_owned()));
        rest = next;
    }
    if rest.contains('}') {
        return Err(format!("a '}}' in '{text}' has no '{{'"));
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

/// The condition on one partition. All tests must hold.
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
    /// The value compares with the operand in this way.
    Compare(Comparison, Operand),
}

impl Test {
    /// What values are compared with.
    #[must_use]
    pub fn operands(&self) -> &[Operand] {
        match self {
            Self::OneOf(operands) | Self::NoneOf(operands) => operands,
            Self::Compare(_, operand) => std::slice::from_ref(operand),
        }
    }
}

/// How a value compares with the operand.
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
    /// The period that it means when it is compared with dates: `20240115` is also a day.
    #[must_use]
    pub fn period(&self) -> Option<Period> {
        match self {
            Self::Text(text) => Period::parse(text),
            Self::Number(number) => Period::parse(&number.to_string()),
            Self::Null | Self::Boolean(_) | Self::Now(_) => None,
        }
    }

    /// Whether it can be compared with values of a type.
    #[must_use]
    pub fn fits(&self, kind: Option<PartitionType>) -> bool {
        use PartitionType as T;
        match (self, kind) {
            (Self::Null, _) | (_, None) => true,
            (Self::Now(_), Some(kind)) => matches!(kind, T::Date | T::Timestamp),
            (Self::Text(_) | Self::Number(_), Some(T::Date | T::Timestamp)) => self.period().is_some(),
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
    /// Reads `now`, `now-1d`, `now+6h`; the units are `s`, `m` (minutes), `h`, `d`, `w`, `M` (months), `y`. `None` if
    /// the text is not such a time.
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

/// Parses a duration such as `3d` into seconds. Months and years have no fixed length and are not accepted.
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

/// The unit of time that a value specifies.
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
    /// The first point in time after it.
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

    fn moved(self, seconds: i64) -> Self {
        Self { start: self.start.plus_seconds(seconds), end: self.end.plus_seconds(seconds), ..self }
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

    /// Reads the times that partitions are named by: years, months (`2024-01`, `202401`), days (`2024-01-15`,
    /// `2024-1-15`, `2024_01_15`, `2024/01/15`, `2024.01.15`, `20240115`), each day also with a time (`2024-01-15-03`,
    /// `2024-01-15T03`, `2024011503`, `2024-01-15 03:30`), and whole points in time, with or without an offset. A text
    /// means the whole period that it specifies: `2024-01` is all of January. Days before months, and years of two
    /// digits, are ambiguous and are not accepted.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut text = Scanner(text.trim().as_bytes());
        let year = i32::try_from(text.number(4)?).ok()?;
        match text.0.first() {
            None => Self::of_parts(year, None, None, None),
            Some(byte) if byte.is_ascii_digit() => compact(year, text),
            Some(_) => separated(year, text),
        }
    }

    /// Whether a text is certainly a month or a shorter period, and not a number or a version that looks like one.
    #[must_use]
    pub fn certain(text: &str) -> bool {
        let plausible = |period: &Self| {
            let year = period.start.to_utc().map_or(0, |utc| utc.year());
            (1900..2200).contains(&year) || year == 9999
        };
        let month = |text: &[u8]| text.len() == 7 && matches!(text[4], b'-' | b'_');
        let Some(period) = Self::parse(text).filter(plausible) else { return false };
        period.unit >= Unit::Day || (period.unit == Unit::Month && month(text.trim().as_bytes()))
    }
}

/// The rest of a text that is read from its beginning.
#[derive(Clone, Copy)]
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    fn digits(&self) -> usize {
        self.0.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// The number with this many digits.
    fn number(&mut self, digits: usize) -> Option<u32> {
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.iter().try_fold(0, |sum, byte| Some(sum * 10 + u32::from(byte.is_ascii_digit().then(|| byte - b'0')?)))
    }

    /// The number that the next one or two digits are, up to another character.
    fn short_number(&mut self) -> Option<u32> {
        let digits = Some(self.digits()).filter(|digits| (1..=2).contains(digits))?;
        self.number(digits)
    }

    /// Takes the next character, where it is one of these.
    fn one_of(&mut self, characters: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first().filter(|(first, _)| characters.contains(first))?;
        self.0 = rest;
        Some(*first)
    }
}

/// Reads what follows a year without a separator: `0115`, `011503`, `0115T0330`.
fn compact(year: i32, mut text: Scanner<'_>) -> Option<Period> {
    let digits = text.digits();
    let month = text.number(2)?;
    if digits == 2 {
        // Six digits are a day of this century as often as they are a month of another one.
        let known = text.0.is_empty() && (1970..2200).contains(&year);
        return known.then(|| Period::of_parts(year, Some(month), None, None))?;
    }
    let day = text.number(2)?;
    match digits {
        4 if text.0.is_empty() => Period::of_parts(year, Some(month), Some(day), None),
        4 => {
            text.one_of(b"Tt -_")?;
            with_time(year, month, day, text)
        }
        6 | 8 | 10 => with_time(year, month, day, text),
        _ => None,
    }
}

/// Reads what follows a year and begins with a separator: `-01`, `-1-5`, `_01_15`, `/01/15 03:30`.
fn separated(year: i32, mut text: Scanner<'_>) -> Option<Period> {
    let separator = text.one_of(b"-_./")?;
    let month = text.short_number()?;
    if text.0.is_empty() {
        return Period::of_parts(year, Some(month), None, None);
    }
    text.one_of(&[separator])?;
    let day = text.short_number()?;
    if text.0.is_empty() {
        return Period::of_parts(year, Some(month), Some(day), None);
    }
    text.one_of(b"Tt -_/")?;
    with_time(year, month, day, text)
}

/// Reads the time of a day: `03`, `03:30`, `03-30`, `0330`, `03:30:00.5Z`, `03:30+02:00`.
fn with_time(year: i32, month: u32, day: u32, mut text: Scanner<'_>) -> Option<Period> {
    let (mut minute, mut second, mut fraction) = (None, None, None);
    let digits = text.digits();
    let hour = if digits == 1 { text.number(1)? } else { text.number(2)? };
    if matches!(digits, 4 | 6) {
        minute = Some(text.number(2)?);
        second = if digits == 6 { Some(text.number(2)?) } else { None };
    } else if digits > 2 {
        return None;
    } else if let Some(separator) = text.one_of(b":-_.") {
        minute = Some(text.number(2)?);
        second = match text.one_of(&[separator]) {
            Some(_) => Some(text.number(2)?),
            None => None,
        };
    }
    if second.is_some() && text.one_of(b".,").is_some() {
        let digits = Some(text.digits()).filter(|digits| (1..=9).contains(digits))?;
        fraction = Some(i64::from(text.number(digits)?) * 1_000_000 / 10_i64.pow(u32::try_from(digits).ok()?));
    }
    let offset_seconds = offset(text, minute.is_some())?;
    let period = Period::of_parts(year, Some(month), Some(day), Some(hour))?;
    let (minute, second) = match (minute, second) {
        (Some(minute @ 0..60), second @ (None | Some(0..60))) => (minute, second),
        (None, _) => return Some(period.moved(-offset_seconds)),
        _ => return None,
    };
    let start = period.start.plus_seconds(i64::from(minute * 60 + second.unwrap_or(0)) - offset_seconds);
    let start = Timestamp::from_micros(start.micros().checked_add(fraction.unwrap_or(0))?);
    match second {
        Some(_) => Period::around(start, Unit::Instant),
        None => Some(Period { start, end: start.plus_seconds(60), unit: Unit::Instant }),
    }
}

/// Seconds east of UTC of `Z`, an empty text, or (only after minutes) `+02`, `+0200`, `+02:00`. `None` for anything
/// else.
fn offset(mut text: Scanner<'_>, behind_minutes: bool) -> Option<i64> {
    if text.0.is_empty() || matches!(text.0, b"Z" | b"z") {
        return Some(0);
    }
    let sign = if text.one_of(b"+-")? == b'-' { -1 } else { 1 };
    let hours = text.number(2)?;
    text.one_of(b":");
    let minutes = if text.0.is_empty() { 0 } else { text.number(2)? };
    let valid = behind_minutes && text.0.is_empty() && hours < 24 && minutes < 60;
    valid.then(|| sign * i64::from(hours * 3600 + minutes * 60))
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
            ("{a}{b}", "between them"),
            ("{a", "not closed"),
            ("a}/{b}", "has no '{'"),
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
            ("2024_2", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
            ("202402", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
            ("2024-02-29", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
            (" 2024-2-29 ", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
            ("2024-1-5", "2024-01-05T00:00:00", "2024-01-06T00:00:00"),
            ("2024_01_05", "2024-01-05T00:00:00", "2024-01-06T00:00:00"),
            ("2024/01/05", "2024-01-05T00:00:00", "2024-01-06T00:00:00"),
            ("2024.01.05", "2024-01-05T00:00:00", "2024-01-06T00:00:00"),
            ("20240229", "2024-02-29T00:00:00", "2024-03-01T00:00:00"),
            ("2024-02-29-23", "2024-02-29T23:00:00", "2024-03-01T00:00:00"),
            ("2024-02-29T23", "2024-02-29T23:00:00", "2024-03-01T00:00:00"),
            ("2024_02_29_23", "2024-02-29T23:00:00", "2024-03-01T00:00:00"),
            ("2024/02/29/23", "2024-02-29T23:00:00", "2024-03-01T00:00:00"),
            ("2024022907", "2024-02-29T07:00:00", "2024-02-29T08:00:00"),
            ("20240229T07", "2024-02-29T07:00:00", "2024-02-29T08:00:00"),
            ("20240229-7", "2024-02-29T07:00:00", "2024-02-29T08:00:00"),
            ("2024-02-29 23:15", "2024-02-29T23:15:00", "2024-02-29T23:16:00"),
            ("2024-02-29T23-15Z", "2024-02-29T23:15:00", "2024-02-29T23:16:00"),
            ("202402292315", "2024-02-29T23:15:00", "2024-02-29T23:16:00"),
            ("2024-02-29T23:15+02:00", "2024-02-29T21:15:00", "2024-02-29T21:16:00"),
            ("2024-02-29 23:15:00", "2024-02-29T23:15:00", "2024-02-29T23:15:00.000001"),
            ("2024-02-29-23-15-00", "2024-02-29T23:15:00", "2024-02-29T23:15:00.000001"),
            ("20240229T231500Z", "2024-02-29T23:15:00", "2024-02-29T23:15:00.000001"),
            ("20240229231500", "2024-02-29T23:15:00", "2024-02-29T23:15:00.000001"),
            ("2024-02-29T23:15:00.5-0130", "2024-03-01T00:45:00.5", "2024-03-01T00:45:00.500001"),
        ] {
            let period = Period::parse(text).unwrap_or_else(|| panic!("{text}"));
            let at = |text: &str| Timestamp::parse(text).unwrap();
            assert_eq!((period.start, period.end), (at(start), at(end)), "{text}");
        }
        for text in [
            "",
            "24",
            "2024-13",
            "2024-02-30",
            "20240230",
            "abcd",
            "2024-02-29-24",
            "１２３４",
            "2024-",
            "2024-1-5-",
            "2024-1_5",
            "15-01-2024",
            "24-01-15",
            "231201",
            "2024-01-15T10:60",
            "2024-01-15T10:00:60",
            "2024-01-15 10:00 x",
            "2024-001",
            "2024-01-15T03+02",
            "20240115030",
            "yesterday",
            "2024W03",
            "2024-W03",
            "2024-01-15x",
        ] {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_certainly_a_date_is_no_version_and_no_number() {
        for text in ["2024-01-15", "20240115", "2024-1-5", "2024-01", "2024_01", "2024-01-15 10:00", "99991231"] {
            assert!(Period::certain(text), "{text}");
        }
        for text in ["2024", "202401", "2024.1", "2024-1", "12340101", "15", "latest"] {
            assert!(!Period::certain(text), "{text}");
        }
    }
}
