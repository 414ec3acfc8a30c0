//! Which partitions a stream reads: conditions on the values in a key, and on what a prefix implies for the keys below
//! it.
//!
//! Times are compared as periods, because a folder covers a period: a folder is read if it can contain a matching
//! moment. A year or a month contains its days, so the verdict on `2024/` is never stricter than that on `2024/01/15/`.

use super::columns::fits;
use super::layout::{Field, Known, Layout, Looks, Values};
use tollgate_base::error::{Error, Result};
use tollgate_base::object::Timestamp;
use tollgate_base::options::partition::{
    Comparison, PartitionCondition, PartitionFilter, PartitionOperand, PartitionTest, PartitionType, Period, PeriodUnit,
};

/// A filter that is bound to the layout and the current time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BoundFilter {
    conditions: Vec<Bound>,
}

/// The verdict of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionVerdict {
    /// The key, or every key with the prefix, is selected.
    Wanted,
    /// Some keys with the prefix may be selected.
    Open,
    /// The key, or every key with the prefix, is excluded by the condition with this index.
    Unwanted(usize),
    /// The key has no value for the condition with this index.
    WithoutValue(usize),
}

/// The names by which parts of a date are known, in any case.
const YEAR: &[&str] = &["year", "yyyy", "y"];
const MONTH: &[&str] = &["month", "mm", "m"];
const DAY: &[&str] = &["day", "dd", "d"];
const HOUR: &[&str] = &["hour", "hh", "h"];
/// What a year, month and day are called together.
const DATE: &[&str] = &["date", "datetime", "timestamp", "time"];
/// Words in the names of dates, for partitions of which no value was seen: `event_date`, `dt`.
const DATE_WORDS: &[&str] = &["date", "datetime", "dt", "ds"];

#[derive(Debug, Clone, PartialEq)]
struct Bound {
    source: Source,
    tests: Vec<BoundTest>,
    /// The type that values must have, where one was given.
    typed: Option<PartitionType>,
    /// What values are compared as.
    kind: Kind,
    /// Whether a key without a value holds too.
    lenient: bool,
    /// For messages.
    text: String,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq)]
enum Source {
    Column(String),
    /// The partitions for year, month, day and hour, as far as they exist.
    Date(Vec<String>),
}

/// What the values of a partition are compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each value must be a period.
    Date,
    /// Each value is a text, and is compared in the type of the literal.
    Text,
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

/// The part of a date that the name of a partition means.
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
    /// The part of a date by the name of a partition.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let named = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        [(YEAR, Self::Year), (MONTH, Self::Month), (DAY, Self::Day), (HOUR, Self::Hour)]
            .into_iter()
            .find_map(|(names, part)| named(names).then_some(part))
    }
}

/// The partitions of a layout that form a date: a year and the smaller units after it, without a gap.
#[must_use]
pub fn date_parts(layout: &Layout) -> Vec<String> {
    let wanted = [DatePart::Year, DatePart::Month, DatePart::Day, DatePart::Hour];
    // A `day=2024-01-15` is a whole date.
    let parts = || layout.fields.iter().filter(|field| !field.looks.dated());
    let named = |part| parts().find(|field| DatePart::of_name(&field.name) == Some(part));
    wanted.into_iter().map_while(named).map(|field| field.name.clone()).collect()
}

impl BoundFilter {
    /// Binds a filter to the partitions there are and to the time.
    ///
    /// # Errors
    /// Config if it names a partition that is not there, or compares one with what its type does not have.
    pub fn bind(filter: &PartitionFilter, layout: &Layout, now: Timestamp) -> Result<Self> {
        let conditions = filter.conditions.iter().map(|condition| bind(condition, layout, now));
        Ok(Self { conditions: conditions.collect::<Result<_>>()? })
    }

    /// Adds the condition that no partition ends before this time. Keys without a date are kept. Returns the index of
    /// the condition, or `None` if the layout has no dates. `why` is shown after "older than …, ".
    pub fn since(&mut self, layout: &Layout, start: Timestamp, why: &str) -> Option<usize> {
        let (source, period) = date_source(layout).zip(Period::around(start, PeriodUnit::Instant))?;
        self.conditions.push(Bound {
            source,
            tests: vec![BoundTest::Compare(Comparison::GreaterOrEqual, Matcher::Period(period))],
            typed: None,
            kind: Kind::Date,
            lenient: true,
            text: format!("older than {start}, {why}"),
        });
        Some(self.conditions.len() - 1)
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// A condition in words.
    #[must_use]
    pub fn text(&self, condition: usize) -> &str {
        self.conditions.get(condition).map_or("", |bound| &bound.text)
    }

    /// The reason why a condition excludes something.
    #[must_use]
    pub fn reason(&self, condition: usize) -> String {
        match self.conditions.get(condition) {
            Some(bound) if bound.lenient => bound.text.clone(),
            Some(bound) => format!("not {}", bound.text),
            None => String::new(),
        }
    }

    /// The verdict on a key.
    #[must_use]
    pub fn of_key(&self, values: &Values<'_>) -> PartitionVerdict {
        self.verdict(values, true)
    }

    /// The verdict on all keys that start with a prefix.
    #[must_use]
    pub fn of_prefix(&self, values: &Values<'_>) -> PartitionVerdict {
        self.verdict(values, false)
    }

    fn verdict(&self, values: &Values<'_>, whole: bool) -> PartitionVerdict {
        let (mut open, mut missing) = (false, None);
        for (index, bound) in self.conditions.iter().enumerate() {
            match bound.verdict(values, whole) {
                Answer::Yes => {}
                Answer::Maybe => open = true,
                // A certain no holds whatever the others say.
                Answer::No => return PartitionVerdict::Unwanted(index),
                Answer::Missing => missing = missing.or(Some(index)),
            }
        }
        match missing {
            Some(index) => PartitionVerdict::WithoutValue(index),
            None if open => PartitionVerdict::Open,
            None => PartitionVerdict::Wanted,
        }
    }

    /// The first condition that cannot be evaluated for a key, because the key has no value for it, or a value that
    /// cannot be compared.
    #[must_use]
    pub fn undecided(&self, values: &Values<'_>) -> Option<usize> {
        self.conditions.iter().position(|bound| matches!(bound.verdict(values, true), Answer::Missing))
    }

    /// All conditions of the user in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let own = self.conditions.iter().filter(|bound| !bound.lenient);
        own.map(|bound| bound.text.as_str()).collect::<Vec<_>>().join(" and ")
    }

    /// The only texts that a partition can have, if the conditions list them and their spelling in a key is certain.
    #[must_use]
    pub fn only_texts(&self, name: &str, known: &Values<'_>) -> Option<Vec<String>> {
        self.conditions.iter().filter(|bound| !bound.lenient).find_map(|bound| bound.only_texts(name, known))
    }

    /// The first year that a partition with dates can have and the first one after the last, as texts: every spelling of
    /// a date begins with its year. `None` if no condition bounds the dates.
    #[must_use]
    pub fn years(&self, name: &str) -> Option<(Option<String>, Option<String>)> {
        let about = |bound: &&Bound| matches!(&bound.source, Source::Column(column) if column == name);
        let bounds = || self.conditions.iter().filter(about).filter(|bound| bound.kind == Kind::Date);
        // Beside a condition that wants a date, a lenient one leaves nothing in that has none.
        let bounded = |test: &BoundTest| test.earliest().is_some() || test.end().is_some();
        if !bounds().any(|bound| !bound.lenient && bound.tests.iter().any(bounded)) {
            return None;
        }
        let tests = || bounds().flat_map(|bound| &bound.tests);
        // A text with an offset may have the year before or after.
        let year =
            |at: Timestamp, days: i64| at.plus_seconds(days * 86_400).to_utc()?.format("%Y").to_string().parse().ok();
        let first = tests().filter_map(BoundTest::earliest).max().and_then(|at| year(at, -1));
        let last = tests().filter_map(BoundTest::end).min().and_then(|at| year(at, 1));
        let text = |year: i32| (0..=9999).contains(&year).then(|| format!("{year:04}"));
        Some((first.and_then(text), last.and_then(|year| text(year + 1))))
    }
}

/// Where a date of a layout comes from.
fn date_source(layout: &Layout) -> Option<Source> {
    let column = |field: &Field| Some(Source::Column(field.name.clone()));
    if let Some(typed) = layout.fields.iter().find(|field| is_time(field.kind)) {
        return column(typed);
    }
    let parts = date_parts(layout);
    let untyped = || layout.fields.iter().filter(|field| field.kind.is_none_or(|kind| kind == PartitionType::String));
    if parts.len() < 3 {
        let of_values = untyped().find(|field| field.looks == Looks::Dates);
        if let Some(field) = of_values.or_else(|| untyped().find(|field| field.looks.dated())) {
            return column(field);
        }
    }
    if !parts.is_empty() {
        return Some(Source::Date(parts));
    }
    let named = |field: &&Field| {
        field.looks == Looks::Unknown
            && (names_a_date(field, layout) || DATE.iter().any(|date| date.eq_ignore_ascii_case(&field.name)))
    };
    untyped().find(named).and_then(column)
}

fn is_time(kind: Option<PartitionType>) -> bool {
    matches!(kind, Some(PartitionType::Date | PartitionType::Timestamp))
}

/// Whether a partition is a whole date by its name: where no value of it was seen, nothing else tells.
fn names_a_date(field: &Field, layout: &Layout) -> bool {
    let name = field.name.to_ascii_lowercase();
    let worded = name.split(|c: char| !c.is_alphanumeric()).any(|word| DATE_WORDS.contains(&word));
    let day = || DAY[..1].contains(&name.as_str()) && !layout.fields.iter().any(of_year);
    worded || field.name.ends_with("Date") || day()
}

fn of_year(field: &Field) -> bool {
    DatePart::of_name(&field.name) == Some(DatePart::Year)
}

/// Whether the partitions of a layout have a date.
#[must_use]
pub fn dated(layout: &Layout) -> bool {
    date_source(layout).is_some()
}

/// The date of a key's partition, if its layout has one.
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
                Known::Value(Some(text)) => self.text_verdict(&text),
                Known::Value(None) if self.tests.iter().all(BoundTest::holds_of_null) => Answer::Yes,
                Known::Value(None) => Answer::No,
                Known::Missing => Answer::Missing,
                Known::Open if whole => Answer::Missing,
                Known::Open => Answer::Maybe,
            },
            Source::Date(parts) => self.date_verdict(composite(parts, values), whole),
        }
    }

    /// The verdict on a value. One that cannot be compared is no answer, and certainly not a no.
    fn text_verdict(&self, text: &str) -> Answer {
        if self.typed.is_some_and(|kind| !fits(text, kind)) {
            return Answer::Missing;
        }
        let period = match self.kind {
            Kind::Date => match Period::parse(text) {
                Some(period) => Some(period),
                None => return Answer::Missing,
            },
            Kind::Text => None,
        };
        let holds = |test: &BoundTest| match &period {
            Some(period) => Some(test.may_hold(period)),
            None => test.holds(text),
        };
        let answers = || self.tests.iter().map(holds);
        match (answers().any(|held| held == Some(false)), answers().any(|held| held.is_none())) {
            (true, _) => Answer::No,
            (false, true) => Answer::Missing,
            (false, false) => Answer::Yes,
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
                Known::Value(Some(text)) => Some(Period::parse(&text)),
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
        let units = [PeriodUnit::Year, PeriodUnit::Month, PeriodUnit::Day, PeriodUnit::Hour];
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

fn bind(condition: &PartitionCondition, layout: &Layout, now: Timestamp) -> Result<Bound> {
    let column = &condition.column;
    let field = layout.fields.iter().find(|field| field.name == *column);
    let source = match field {
        Some(_) => Source::Column(column.clone()),
        None => {
            let date = DATE.iter().any(|date| date.eq_ignore_ascii_case(column));
            date.then(|| date_source(layout)).flatten().ok_or_else(|| unknown_partition(column, layout))?
        }
    };
    let typed = match (&source, field) {
        (_, Some(field)) => field.kind,
        // Parts of a date have no type of their own.
        (Source::Date(_), None) => None,
        (Source::Column(name), None) => layout.fields.iter().find(|field| field.name == *name).and_then(|f| f.kind),
    };
    let kind = kind_of(&source, field, typed, condition, layout);
    // What a folder stands for: `now` is cut to it, so that `now-1d` is a day where folders are days.
    let unit = match &source {
        Source::Date(parts) => {
            [PeriodUnit::Year, PeriodUnit::Month, PeriodUnit::Day, PeriodUnit::Hour][parts.len() - 1]
        }
        Source::Column(_) if typed == Some(PartitionType::Timestamp) => PeriodUnit::Instant,
        Source::Column(_) => PeriodUnit::Day,
    };
    let matcher = |operand: &PartitionOperand| {
        let matcher = match kind {
            Kind::Date => date_matcher(operand, now, unit),
            Kind::Text => matcher(operand, typed),
        };
        matcher.ok_or_else(|| misfit(column, operand, kind, typed))
    };
    let many = |operands: &[PartitionOperand]| operands.iter().map(matcher).collect::<Result<Vec<_>>>();
    let tests = condition.tests.iter().map(|test| {
        Ok(match test {
            PartitionTest::OneOf(operands) => BoundTest::OneOf(many(operands)?),
            PartitionTest::NoneOf(operands) => BoundTest::NoneOf(many(operands)?),
            PartitionTest::Compare(comparison, operand) => BoundTest::Compare(*comparison, matcher(operand)?),
        })
    });
    let text = in_words(condition, now);
    Ok(Bound { source, tests: tests.collect::<Result<_>>()?, typed, kind, lenient: false, text })
}

/// What values are compared as. Without a type it is what the values look like, and what the filter says; the name
/// counts only where no value was seen.
fn kind_of(
    source: &Source,
    field: Option<&Field>,
    typed: Option<PartitionType>,
    condition: &PartitionCondition,
    layout: &Layout,
) -> Kind {
    match (source, typed) {
        (Source::Date(_), _) => return Kind::Date,
        (Source::Column(_), Some(kind)) => return if is_time(Some(kind)) { Kind::Date } else { Kind::Text },
        (Source::Column(_), None) => {}
    }
    let Some(field) = field else { return Kind::Date };
    let named = field.looks == Looks::Unknown && names_a_date(field, layout);
    if field.looks == Looks::Dates || named {
        return Kind::Date;
    }
    let operands = || {
        condition.tests.iter().flat_map(PartitionTest::operands).filter(|operand| **operand != PartitionOperand::Null)
    };
    let date = |operand: &PartitionOperand| match operand {
        PartitionOperand::Now(_) => true,
        // Among dates digits are dates too.
        _ if field.looks.dated() => operand.period().is_some(),
        PartitionOperand::Text(text) => Period::certain(text) && !text.bytes().all(|byte| byte.is_ascii_digit()),
        PartitionOperand::Null | PartitionOperand::Number(_) | PartitionOperand::Boolean(_) => false,
    };
    let any_now = operands().any(|operand| matches!(operand, PartitionOperand::Now(_)));
    let all = operands().next().is_some() && operands().all(date);
    if any_now || all { Kind::Date } else { Kind::Text }
}

/// What an operand is beside dates; `None` if it is none.
fn date_matcher(operand: &PartitionOperand, now: Timestamp, unit: PeriodUnit) -> Option<Matcher> {
    match operand {
        PartitionOperand::Null => Some(Matcher::Null),
        PartitionOperand::Now(shift) => Period::around(shift.from(now), unit).map(Matcher::Period),
        other => other.period().map(Matcher::Period),
    }
}

/// What an operand is compared as; `None` if the type does not have it.
fn matcher(operand: &PartitionOperand, typed: Option<PartitionType>) -> Option<Matcher> {
    use PartitionType as T;
    Some(match (operand, typed) {
        (PartitionOperand::Null, _) => Matcher::Null,
        (PartitionOperand::Text(text), None) => {
            match Period::parse(text).filter(|_| Period::certain(text) && text.contains(['-', '_', '/'])) {
                Some(period) => Matcher::Period(period),
                None => Matcher::Text(text.clone()),
            }
        }
        (PartitionOperand::Text(text), Some(T::String)) => Matcher::Text(text.clone()),
        (PartitionOperand::Text(text), Some(T::Integer | T::Number)) => Matcher::Number(text.parse().ok()?),
        (PartitionOperand::Text(text), Some(T::Boolean)) => Matcher::Boolean(boolean(text)?),
        (PartitionOperand::Number(number), None | Some(T::Integer | T::Number)) => Matcher::Number(*number),
        (PartitionOperand::Boolean(value), None | Some(T::Boolean)) => Matcher::Boolean(*value),
        _ => return None,
    })
}

/// An operand that cannot be compared with the values of its partition.
fn misfit(column: &str, operand: &PartitionOperand, kind: Kind, typed: Option<PartitionType>) -> Error {
    let expected = match kind {
        Kind::Date => "a date such as '2024-01-31', '20240131', '2024-01', 'now-1d' or null",
        Kind::Text => typed.map_or("a string, a number or a time", PartitionType::name),
    };
    let message = format!("Partition error: `partition_filter.{column}` compares with {operand}, expected {expected}");
    Error::config(message).hint(match kind {
        Kind::Date => format!(
            "write it as a date; if the partition is not a date, compare it as a string with {{\"{column}\": \
             \"string\"}} in `partition_types`"
        ),
        Kind::Text => {
            "write the value in the type of the partition, or set another type in `partition_types`".to_owned()
        }
    })
}

fn unknown_partition(column: &str, layout: &Layout) -> Error {
    let names: Vec<String> = layout.fields.iter().map(|field| format!("'{}'", field.name)).collect();
    let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    Error::config(format!(
        "Partition error: `partition_filter.{column}` names a partition that the stream does not have; it has {known}"
    ))
    .hint("correct the name, or describe the folders in `partition_keys` or `partition_template`")
}

fn in_words(condition: &PartitionCondition, now: Timestamp) -> String {
    let shown = |operand: &PartitionOperand| match operand {
        PartitionOperand::Now(shift) => format!("{shift} ({})", shift.from(now)),
        other => other.to_string(),
    };
    let list = |operands: &[PartitionOperand]| operands.iter().map(shown).collect::<Vec<_>>().join(", ");
    let tests: Vec<String> = condition
        .tests
        .iter()
        .map(|test| match test {
            PartitionTest::OneOf(operands) if operands.len() == 1 => format!("= {}", list(operands)),
            PartitionTest::OneOf(operands) => format!("in ({})", list(operands)),
            PartitionTest::NoneOf(operands) => format!("not in ({})", list(operands)),
            PartitionTest::Compare(comparison, operand) => format!("{comparison} {}", shown(operand)),
        })
        .collect();
    format!("{} {}", condition.column, tests.join(" and "))
}

impl BoundTest {
    /// Whether a text is wanted; `None` if nobody can tell.
    fn holds(&self, text: &str) -> Option<bool> {
        match self {
            Self::OneOf(matchers) => Some(matchers.iter().any(|matcher| matcher.equals(text))),
            Self::NoneOf(matchers) => Some(!matchers.iter().any(|matcher| matcher.equals(text))),
            Self::Compare(comparison, matcher) => matcher.compares(*comparison, text),
        }
    }

    /// Whether null is wanted.
    fn holds_of_null(&self) -> bool {
        match self {
            Self::OneOf(matchers) => matchers.contains(&Matcher::Null),
            Self::NoneOf(matchers) => !matchers.contains(&Matcher::Null),
            Self::Compare(..) => false,
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

    /// The first moment after all that can be wanted.
    fn end(&self) -> Option<Timestamp> {
        match self {
            // What is no period has no end, such as null.
            Self::OneOf(matchers) => {
                let ends = matchers.iter().map(|m| Some(m.period()?.end)).collect::<Option<Vec<_>>>()?;
                ends.into_iter().max()
            }
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

    /// Whether a text is the literal. What is of another kind is certainly not.
    fn equals(&self, text: &str) -> bool {
        match self {
            Self::Null => false,
            Self::Text(wanted) => wanted == text,
            Self::Number(wanted) => text.parse() == Ok(*wanted),
            Self::Boolean(wanted) => boolean(text) == Some(*wanted),
            Self::Period(wanted) => Period::parse(text).is_some_and(|period| overlap(wanted, &period)),
        }
    }

    /// Whether a text stands on a side of the literal; `None` if the two cannot be compared.
    fn compares(&self, comparison: Comparison, text: &str) -> Option<bool> {
        let number = |wanted: f64| text.parse::<f64>().ok()?.partial_cmp(&wanted);
        let order = match self {
            Self::Period(other) => return Period::parse(text).map(|period| may(comparison, &period, other)),
            // Texts of digits are numbers: `9` is before `10`.
            Self::Text(other) => match other.parse::<f64>() {
                Ok(wanted) => number(wanted),
                Err(_) => Some(text.cmp(other)),
            },
            Self::Number(wanted) => number(*wanted),
            Self::Null | Self::Boolean(_) => None,
        }?;
        Some(match comparison {
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        })
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}
