//! Which partitions a stream wants: conditions on the values of a key, and on what a prefix says of the keys below it.
//!
//! Times are compared as periods, since a folder stands for one: a folder is wanted when it can hold a wanted moment.
//! A year, and a month of it, are longer periods than the day they hold, so a verdict on `2024/` is never harder than
//! the one on `2024/01/15/`.

use super::columns::fits;
use super::layout::{Known, Layout, Value, Values};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::Timestamp;
use tollgate_base::options::partition::{self, Comparison, Operand, PartitionType, Period, Test, Unit};

/// A filter that knows the layout and the time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Filter {
    conditions: Vec<Bound>,
}

/// What a filter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All that is there or below is wanted.
    Wanted,
    /// What is below must be looked at.
    Open,
    /// Nothing there or below is wanted, by the condition with this index.
    Unwanted(usize),
    /// There is no value for the condition with this index.
    WithoutValue(usize),
}

/// The names by which parts of a date are known, in any case.
const YEAR: &[&str] = &["year", "yyyy", "y"];
const MONTH: &[&str] = &["month", "mm", "m"];
const DAY: &[&str] = &["day", "dd", "d"];
const HOUR: &[&str] = &["hour", "hh", "h"];
/// What a year, month and day are called together.
const DATE: &[&str] = &["date", "datetime", "timestamp", "time"];

#[derive(Debug, Clone, PartialEq)]
struct Bound {
    source: Source,
    tests: Vec<BoundTest>,
    /// The type that values must have, where one was given.
    kind: Option<PartitionType>,
    /// Whether a key without a value holds too.
    lenient: bool,
    /// For messages.
    text: String,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    Column(String),
    /// The partitions that are year, month, day and hour, as far as there are such.
    Date(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
enum BoundTest {
    OneOf(Vec<Matcher>),
    NoneOf(Vec<Matcher>),
    Compare(Comparison, Matcher),
}

#[derive(Debug, Clone, PartialEq)]
enum Matcher {
    Null,
    Text(String),
    Number(f64),
    Boolean(bool),
    Period(Period),
}

/// The part of a date that a partition's name says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatePart {
    /// A year.
    Year,
    /// A month.
    Month,
    /// A day of the month.
    Day,
    /// An hour.
    Hour,
}

impl DatePart {
    /// By the partition's name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let named = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        [(YEAR, Self::Year), (MONTH, Self::Month), (DAY, Self::Day), (HOUR, Self::Hour)]
            .into_iter()
            .find_map(|(names, part)| named(names).then_some(part))
    }
}

/// The partitions of a layout that together are a date: a year and what follows it without a gap.
#[must_use]
pub fn date_parts(layout: &Layout) -> Vec<String> {
    let wanted = [DatePart::Year, DatePart::Month, DatePart::Day, DatePart::Hour];
    let named = |part| layout.fields.iter().find(|field| DatePart::of_name(&field.name) == Some(part));
    wanted.into_iter().map_while(named).map(|field| field.name.clone()).collect()
}

impl Filter {
    /// Binds a filter to the partitions there are and to the time.
    ///
    /// # Errors
    /// Config where it names a partition that is not there, or compares one with what its type does not have.
    pub fn bind(filter: &partition::Filter, layout: &Layout, now: Timestamp) -> Result<Self> {
        let conditions = filter.conditions.iter().map(|condition| bind(condition, layout, now));
        Ok(Self { conditions: conditions.collect::<Result<_>>()? })
    }

    /// Adds that no partition ends before this time. Keys without a date stay. Returns the index of the condition; `None`
    /// where the layout has no dates. `why` stands behind "older than …, ".
    pub fn since(&mut self, layout: &Layout, start: Timestamp, why: &str) -> Option<usize> {
        let (source, period) = date_source(layout).zip(Period::around(start, Unit::Instant))?;
        self.conditions.push(Bound {
            source,
            tests: vec![BoundTest::Compare(Comparison::GreaterOrEqual, Matcher::Period(period))],
            kind: None,
            lenient: true,
            text: format!("older than {start}, {why}"),
        });
        Some(self.conditions.len() - 1)
    }

    /// Whether it wants everything.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// A condition in words.
    #[must_use]
    pub fn text(&self, condition: usize) -> &str {
        self.conditions.get(condition).map_or("", |bound| &bound.text)
    }

    /// Why a condition leaves something out.
    #[must_use]
    pub fn reason(&self, condition: usize) -> String {
        match self.conditions.get(condition) {
            Some(bound) if bound.lenient => bound.text.clone(),
            Some(bound) => format!("not {}", bound.text),
            None => String::new(),
        }
    }

    /// Whether it has a condition on another partition than this one.
    #[must_use]
    pub fn asks_beyond(&self, name: &str) -> bool {
        self.conditions.iter().any(|bound| !matches!(&bound.source, Source::Column(column) if column == name))
    }

    /// The verdict on a key.
    #[must_use]
    pub fn of_key(&self, values: &Values<'_>) -> Verdict {
        self.verdict(values, true)
    }

    /// The verdict on all keys that begin with a prefix.
    #[must_use]
    pub fn of_prefix(&self, values: &Values<'_>) -> Verdict {
        self.verdict(values, false)
    }

    fn verdict(&self, values: &Values<'_>, whole: bool) -> Verdict {
        let mut open = false;
        for (index, bound) in self.conditions.iter().enumerate() {
            match bound.verdict(values, whole) {
                Answer::Yes => {}
                Answer::Maybe => open = true,
                Answer::No => return Verdict::Unwanted(index),
                Answer::Missing => return Verdict::WithoutValue(index),
            }
        }
        if open { Verdict::Open } else { Verdict::Wanted }
    }

    /// The only texts that a partition can have, where the conditions say so. Texts whose spelling in a key is not
    /// certain are not told.
    #[must_use]
    pub fn only_texts(&self, name: &str, known: &Values<'_>) -> Option<Vec<String>> {
        self.conditions.iter().filter(|bound| !bound.lenient).find_map(|bound| bound.only_texts(name, known))
    }

    /// The texts between which the wanted values of a partition are, where the conditions are about its date: each range
    /// with its first text and the first one behind it, in order and apart.
    #[must_use]
    pub fn date_ranges(&self, name: &str) -> Option<Vec<TextRange>> {
        let about = |bound: &&Bound| matches!(&bound.source, Source::Column(column) if column == name);
        let bounds = || self.conditions.iter().filter(about);
        let bounded = |test: &BoundTest| test.earliest().is_some() || test.end().is_some();
        // Beside a condition that wants a date, a lenient one leaves nothing in that has none.
        if !bounds().any(|bound| !bound.lenient && bound.tests.iter().any(bounded)) {
            return None;
        }
        let tests = || bounds().flat_map(|bound| &bound.tests);
        let (start, end) = (tests().filter_map(BoundTest::earliest).max(), tests().filter_map(BoundTest::end).min());
        // A day that ends inside of the range is in it.
        let end = end.map(|end| Timestamp::from_micros(end.micros().saturating_sub(1)).plus_seconds(86_400));
        let text = |at: Option<Timestamp>, form: &str| Some(at?.to_utc()?.format(form).to_string());
        let range = |form| (text(start, form), text(end, form));
        Some(joined(range("%Y-%m-%d"), range("%Y%m%d")))
    }
}

/// The first text of a range and the first one behind it; open where there is none.
pub type TextRange = (Option<String>, Option<String>);

/// Two ranges as one where they meet. The texts of days with dashes come before those without, year by year.
fn joined(dashed: TextRange, compact: TextRange) -> Vec<TextRange> {
    match (&dashed.1, &compact.0) {
        (Some(end), Some(start)) if end < start => vec![dashed, compact],
        _ => vec![(dashed.0, compact.1)],
    }
}

/// Where a date of a layout comes from.
fn date_source(layout: &Layout) -> Option<Source> {
    let named = layout.fields.iter().find(|field| DATE.iter().any(|date| date.eq_ignore_ascii_case(&field.name)));
    let typed = layout.fields.iter().find(|f| matches!(f.kind, Some(PartitionType::Date | PartitionType::Timestamp)));
    let parts = date_parts(layout);
    match typed.or(named.filter(|_| parts.is_empty())) {
        Some(field) => Some(Source::Column(field.name.clone())),
        None if !parts.is_empty() => Some(Source::Date(parts)),
        None => None,
    }
}

/// Whether the partitions of a layout have a date.
#[must_use]
pub fn dated(layout: &Layout) -> bool {
    date_source(layout).is_some()
}

/// The date of a key's partition, where its layout has one.
#[must_use]
pub fn date_of(layout: &Layout, values: &Values<'_>) -> Option<Period> {
    match date_source(layout)? {
        Source::Column(name) => match values.get(&name) {
            Known::Value(Some(text)) => Period::parse(&text),
            _ => None,
        },
        Source::Date(parts) => match composite(&parts, values) {
            Composite::Whole(period) => Some(period),
            _ => None,
        },
    }
}

enum Answer {
    Yes,
    Maybe,
    No,
    Missing,
}

impl Bound {
    fn verdict(&self, values: &Values<'_>, whole: bool) -> Answer {
        if self.lenient {
            return self.lenient_verdict(values, whole);
        }
        match &self.source {
            Source::Column(name) => match values.get(name) {
                Known::Value(Some(text)) if self.kind.is_some_and(|kind| !fits(&text, kind)) => Answer::Missing,
                Known::Value(value) if self.tests.iter().all(|test| test.holds(&value)) => Answer::Yes,
                Known::Value(_) => Answer::No,
                Known::Missing => Answer::Missing,
                Known::Open if whole => Answer::Missing,
                Known::Open => Answer::Maybe,
            },
            Source::Date(parts) => self.date_verdict(composite(parts, values), whole),
        }
    }

    fn date_verdict(&self, date: Composite, whole: bool) -> Answer {
        match date {
            Composite::Whole(period) if self.tests.iter().all(|test| test.may_hold(&period)) => Answer::Yes,
            Composite::Part(_) if whole => Answer::Missing,
            Composite::Part(period) if self.tests.iter().all(|test| test.must_hold(&period)) => Answer::Yes,
            Composite::Part(period) if self.tests.iter().all(|test| test.may_hold(&period)) => Answer::Maybe,
            Composite::Whole(_) | Composite::Part(_) => Answer::No,
            Composite::Missing => Answer::Missing,
            Composite::Open if whole => Answer::Missing,
            Composite::Open => Answer::Maybe,
        }
    }

    /// Only what has a date can have a wrong one. The part of a date that is known counts for a key too, so that a folder
    /// and what is in it have the same verdict.
    fn lenient_verdict(&self, values: &Values<'_>, whole: bool) -> Answer {
        let known = match &self.source {
            Source::Column(name) => match values.get(name) {
                Known::Value(Some(text)) => Some(Period::parse(&text).filter(|period| period.unit >= Unit::Day)),
                Known::Value(None) | Known::Missing => Some(None),
                Known::Open => None,
            },
            Source::Date(parts) => match known_part(parts, values) {
                (None, 0) => None,
                (period, _) => Some(period),
            },
        };
        match known {
            Some(Some(period)) if !self.tests.iter().all(|test| test.may_hold(&period)) => Answer::No,
            Some(None) => Answer::Yes,
            _ if whole => Answer::Yes,
            Some(Some(period)) if self.tests.iter().all(|test| test.must_hold(&period)) => Answer::Yes,
            _ => Answer::Maybe,
        }
    }

    fn only_texts(&self, name: &str, known: &Values<'_>) -> Option<Vec<String>> {
        match &self.source {
            Source::Column(column) if column == name => self.tests.iter().find_map(BoundTest::only_texts),
            Source::Date(parts) => {
                let place = parts.iter().position(|part| part == name)?;
                self.only_dates(place, composite(&parts[..place], known))
            }
            Source::Column(_) => None,
        }
    }

    /// The texts of the year, month, day or hour (`place`) inside of what is known of the date.
    fn only_dates(&self, place: usize, known: Composite) -> Option<Vec<String>> {
        let within = match (place, known) {
            (0, _) => None,
            (_, Composite::Whole(period)) => Some(period),
            _ => return None,
        };
        let units = [Unit::Year, Unit::Month, Unit::Day, Unit::Hour];
        let start = self.tests.iter().filter_map(BoundTest::earliest).chain(within.map(|p| p.start)).max()?;
        let end = self.tests.iter().filter_map(BoundTest::end).chain(within.map(|p| p.end)).min()?;
        let mut texts = Vec::new();
        let mut at = Period::around(start, units[place])?;
        while at.start < end {
            if texts.len() >= 64 {
                return None;
            }
            let utc = at.start.to_utc()?;
            let text = utc.format(["%Y", "%m", "%d", "%H"][place]).to_string();
            // The same month is `3` or `03`.
            if let Some(short) = text.strip_prefix('0').filter(|_| place > 0) {
                texts.push(short.to_owned());
            }
            texts.push(text);
            at = Period::around(at.end, units[place])?;
        }
        Some(texts)
    }
}

enum Composite {
    Whole(Period),
    Part(Period),
    Missing,
    Open,
}

/// Year, month, day and hour as one period.
fn composite(parts: &[String], values: &Values<'_>) -> Composite {
    let mut numbers: [Option<u32>; 4] = [None; 4];
    for (place, name) in parts.iter().enumerate().take(4) {
        match values.get(name) {
            Known::Value(Some(text)) => match date_number(&text, place == 0) {
                Some(number) => numbers[place] = Some(number),
                None => return Composite::Missing,
            },
            Known::Value(None) | Known::Missing => return Composite::Missing,
            Known::Open => break,
        }
    }
    let [Some(year), month, day, hour] = numbers else { return Composite::Open };
    let Some(period) = i32::try_from(year).ok().and_then(|year| Period::of_parts(year, month, day, hour)) else {
        return Composite::Missing;
    };
    let known = numbers.iter().flatten().count();
    if known == parts.len() { Composite::Whole(period) } else { Composite::Part(period) }
}

/// The period of the parts of a date that are known and fit, and how many folders were looked at.
fn known_part(parts: &[String], values: &Values<'_>) -> (Option<Period>, usize) {
    let mut last = (None, 0);
    for count in 1..=parts.len() {
        last = match composite(&parts[..count], values) {
            Composite::Whole(period) => (Some(period), count),
            Composite::Missing => return (last.0, count),
            Composite::Part(_) | Composite::Open => return last,
        };
    }
    last
}

/// A year of four digits, or a month, day or hour of one or two.
fn date_number(text: &str, year: bool) -> Option<u32> {
    let width = if year { 4..=4 } else { 1..=2 };
    (width.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn bind(condition: &partition::Condition, layout: &Layout, now: Timestamp) -> Result<Bound> {
    let column = &condition.column;
    let (source, kind) = match layout.fields.iter().find(|field| field.name == *column) {
        Some(field) => (Source::Column(column.clone()), field.kind),
        None => match DATE.iter().any(|date| date.eq_ignore_ascii_case(column)).then(|| date_parts(layout)) {
            Some(parts) if !parts.is_empty() => (Source::Date(parts), Some(PartitionType::Timestamp)),
            _ => return Err(unknown_partition(column, layout)),
        },
    };
    // What a folder stands for: `now` is cut to it, so that `now-1d` is a day where folders are days.
    let unit = match &source {
        Source::Date(parts) => [Unit::Year, Unit::Month, Unit::Day, Unit::Hour][parts.len() - 1],
        Source::Column(_) if kind == Some(PartitionType::Timestamp) => Unit::Instant,
        Source::Column(_) => Unit::Day,
    };
    let matcher = |operand: &Operand| matcher(operand, kind, now, unit).ok_or_else(|| misfit(column, operand, kind));
    let many = |operands: &[Operand]| operands.iter().map(matcher).collect::<Result<Vec<_>>>();
    let tests = condition.tests.iter().map(|test| {
        Ok(match test {
            Test::OneOf(operands) => BoundTest::OneOf(many(operands)?),
            Test::NoneOf(operands) => BoundTest::NoneOf(many(operands)?),
            Test::Compare(comparison, operand) => BoundTest::Compare(*comparison, matcher(operand)?),
        })
    });
    // Parts of a date have no type of their own.
    let kind = kind.filter(|_| matches!(source, Source::Column(_)));
    Ok(Bound { source, tests: tests.collect::<Result<_>>()?, kind, lenient: false, text: in_words(condition, now) })
}

/// What an operand is compared as; `None` where the type does not have it.
fn matcher(operand: &Operand, kind: Option<PartitionType>, now: Timestamp, unit: Unit) -> Option<Matcher> {
    use PartitionType as T;
    Some(match (operand, kind) {
        (Operand::Null, _) => Matcher::Null,
        (Operand::Now(shift), None | Some(T::Date | T::Timestamp)) => {
            Matcher::Period(Period::around(shift.from(now), unit)?)
        }
        (Operand::Text(text), Some(T::Date | T::Timestamp)) => Matcher::Period(Period::parse(text)?),
        (Operand::Text(text), None) => match Period::parse(text).filter(|_| text.len() >= 10 && text.contains('-')) {
            Some(period) => Matcher::Period(period),
            None => Matcher::Text(text.clone()),
        },
        (Operand::Text(text), Some(T::String)) => Matcher::Text(text.clone()),
        (Operand::Text(text), Some(T::Integer | T::Number)) => Matcher::Number(text.parse().ok()?),
        (Operand::Text(text), Some(T::Boolean)) => Matcher::Boolean(boolean(text)?),
        (Operand::Number(number), None | Some(T::Integer | T::Number)) => Matcher::Number(*number),
        (Operand::Boolean(value), None | Some(T::Boolean)) => Matcher::Boolean(*value),
        _ => return None,
    })
}

/// Whether an operand can be compared with values of a type: the strict reading of a configuration asks before there is
/// a layout.
fn misfit(column: &str, operand: &Operand, kind: Option<PartitionType>) -> Error {
    let expected = kind.map_or("a text, a number or a time", PartitionType::name);
    Error::config(format!("Partition error: `partition_filter.{column}` compares with {operand}, expected {expected}"))
        .hint("write the value in the partition's type, or give another type in `partition_types`")
}

fn unknown_partition(column: &str, layout: &Layout) -> Error {
    let names: Vec<String> = layout.fields.iter().map(|field| format!("'{}'", field.name)).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Error::config(format!(
        "Partition error: `partition_filter.{column}` names a partition that the stream does not have; it has {known}"
    ))
    .hint("correct the name, or give the folders in `partition_keys` or `partition_template`")
}

fn in_words(condition: &partition::Condition, now: Timestamp) -> String {
    let shown = |operand: &Operand| match operand {
        Operand::Now(shift) => format!("{shift} ({})", shift.from(now)),
        other => other.to_string(),
    };
    let list = |operands: &[Operand]| operands.iter().map(shown).collect::<Vec<_>>().join(", ");
    let tests: Vec<String> = condition
        .tests
        .iter()
        .map(|test| match test {
            Test::OneOf(operands) if operands.len() == 1 => format!("= {}", list(operands)),
            Test::OneOf(operands) => format!("in ({})", list(operands)),
            Test::NoneOf(operands) => format!("not in ({})", list(operands)),
            Test::Compare(comparison, operand) => format!("{comparison} {}", shown(operand)),
        })
        .collect();
    format!("{} {}", condition.column, tests.join(" and "))
}

impl BoundTest {
    fn holds(&self, value: &Value<'_>) -> bool {
        match self {
            Self::OneOf(matchers) => matchers.iter().any(|matcher| matcher.equals(value)),
            Self::NoneOf(matchers) => !matchers.iter().any(|matcher| matcher.equals(value)),
            Self::Compare(comparison, matcher) => {
                value.as_deref().is_some_and(|text| matcher.compares(*comparison, text))
            }
        }
    }

    /// Whether a period can hold a moment that is wanted.
    fn may_hold(&self, period: &Period) -> bool {
        match self {
            Self::OneOf(matchers) => {
                matchers.iter().any(|matcher| matcher.period().is_some_and(|p| overlap(p, period)))
            }
            // A longer period has moments beside those that are not wanted.
            Self::NoneOf(matchers) => !matchers.iter().any(|m| m.period().is_some_and(|p| covers(p, period))),
            Self::Compare(comparison, matcher) => matcher.period().is_some_and(|p| may(*comparison, period, p)),
        }
    }

    /// Whether every moment of a period is wanted.
    fn must_hold(&self, period: &Period) -> bool {
        match self {
            Self::OneOf(matchers) => matchers.iter().any(|matcher| matcher.period().is_some_and(|p| covers(p, period))),
            Self::NoneOf(matchers) => !matchers.iter().any(|m| m.period().is_some_and(|p| overlap(p, period))),
            Self::Compare(comparison, matcher) => matcher.period().is_some_and(|p| must(*comparison, period, p)),
        }
    }

    fn only_texts(&self) -> Option<Vec<String>> {
        let Self::OneOf(matchers) = self else { return None };
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        let text = |matcher: &Matcher| match matcher {
            Matcher::Text(text) if plain(text) => Some(text.clone()),
            _ => None,
        };
        matchers.iter().map(text).collect()
    }

    /// The first moment that can be wanted.
    fn earliest(&self) -> Option<Timestamp> {
        match self {
            Self::OneOf(matchers) => matchers.iter().map(|m| Some(m.period()?.start)).min()?,
            Self::Compare(Comparison::Greater, matcher) => Some(matcher.period()?.end),
            Self::Compare(Comparison::GreaterOrEqual, matcher) => Some(matcher.period()?.start),
            _ => None,
        }
    }

    /// The first moment behind all that can be wanted.
    fn end(&self) -> Option<Timestamp> {
        match self {
            Self::OneOf(matchers) => matchers.iter().map(|m| m.period().map(|p| p.end)).max()?,
            Self::Compare(Comparison::Less, matcher) => Some(matcher.period()?.start),
            Self::Compare(Comparison::LessOrEqual, matcher) => Some(matcher.period()?.end),
            _ => None,
        }
    }
}

fn overlap(one: &Period, other: &Period) -> bool {
    one.start < other.end && other.start < one.end
}

/// Whether `outer` has all of `inner`.
fn covers(outer: &Period, inner: &Period) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Whether some moment of a period stands on this side of another period.
fn may(comparison: Comparison, period: &Period, other: &Period) -> bool {
    match comparison {
        Comparison::Less => period.start < other.start,
        Comparison::LessOrEqual => period.start < other.end,
        Comparison::Greater => period.end > other.end,
        Comparison::GreaterOrEqual => period.end > other.start,
    }
}

/// Whether every moment of a period stands on this side of another period.
fn must(comparison: Comparison, period: &Period, other: &Period) -> bool {
    match comparison {
        Comparison::Less => period.end <= other.start,
        Comparison::LessOrEqual => period.end <= other.end,
        Comparison::Greater => period.start >= other.end,
        Comparison::GreaterOrEqual => period.start >= other.start,
    }
}

impl Matcher {
    fn period(&self) -> Option<&Period> {
        match self {
            Self::Period(period) => Some(period),
            _ => None,
        }
    }

    fn equals(&self, value: &Value<'_>) -> bool {
        match (self, value.as_deref()) {
            (Self::Null, None) => true,
            (Self::Null, Some(_)) | (_, None) => false,
            (Self::Text(wanted), Some(text)) => wanted == text,
            (Self::Number(wanted), Some(text)) => text.parse() == Ok(*wanted),
            (Self::Boolean(wanted), Some(text)) => boolean(text) == Some(*wanted),
            (Self::Period(wanted), Some(text)) => {
                period_beside(text, wanted).is_some_and(|period| overlap(wanted, &period))
            }
        }
    }

    fn compares(&self, comparison: Comparison, text: &str) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match self {
            Self::Period(other) => {
                return period_beside(text, other).is_some_and(|period| may(comparison, &period, other));
            }
            // Texts of digits are numbers: `9` is before `10`.
            Self::Text(other) => match other.parse::<f64>() {
                Ok(number) => text.parse::<f64>().ok().and_then(|value| value.partial_cmp(&number)),
                Err(_) => Some(text.cmp(other)),
            },
            Self::Number(number) => text.parse::<f64>().ok().and_then(|value| value.partial_cmp(number)),
            Self::Null | Self::Boolean(_) => None,
        };
        match comparison {
            Comparison::Less => order == Some(Less),
            Comparison::LessOrEqual => matches!(order, Some(Less | Equal)),
            Comparison::Greater => order == Some(Greater),
            Comparison::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
        }
    }
}

/// The period that a text stands for. One that is longer than a day, and than what it is compared with, is a mistake
/// rather than a date; and it would stand in another place of a listing than its days.
fn period_beside(text: &str, other: &Period) -> Option<Period> {
    Period::parse(text).filter(|period| period.unit >= other.unit.min(Unit::Day))
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
