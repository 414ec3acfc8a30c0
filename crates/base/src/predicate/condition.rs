//! Predicates and their conditions, and how they are evaluated on rows.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::operand::{Compared, Operand};
use super::value::{Kind, Value};
use crate::error::{Error, Result};

/// Lists longer than this are looked up instead of searched.
const SEARCHED: usize = 8;

/// Alternatives, one of which must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    pub(super) alternatives: Vec<Vec<Condition>>,
}

/// The rest of a predicate if some columns have the same value in all rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Rest {
    /// No row passes.
    Nothing,
    /// Every row passes.
    Everything,
    /// The rows that match this predicate.
    Some(Predicate),
}

/// A condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The column's name: a top-level column of the file.
    pub column: Box<str>,
    /// The test of its value.
    pub test: Test,
}

/// A test of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// A comparison.
    Compare(Operator, Operand),
    /// It is one of these.
    In(List),
    /// It is a value, and none of these.
    NotIn(List),
    /// There is no value.
    Null,
    /// There is a value.
    NotNull,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// Not `<`: like `>=`, but NaN also matches, because it is not below anything. Configurations cannot express it.
    NotLess,
}

/// The literals of `in` and `not in`.
#[derive(Debug, Clone)]
pub struct List {
    pub(super) items: Vec<Operand>,
    /// Where there are many.
    known: Option<Known>,
}

/// The whole numbers and the texts among the items of a list.
#[derive(Debug, Clone)]
struct Known {
    numbers: HashSet<i128>,
    texts: HashSet<Box<[u8]>>,
}

/// Three-valued logic: `and` is the minimum of two values, and `or` the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It does not hold.
    False,
    /// It is unknown.
    Unknown,
    /// It holds.
    True,
}

/// Whether some rows have nulls in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nulls {
    /// It is unknown.
    #[default]
    Unknown,
    /// There are none.
    None,
    /// All are.
    All,
}

/// What is known about a column in some rows.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ColumnStatistics<'a> {
    /// All values (NaN aside) are between these. They need not be values themselves.
    pub between: Option<(Value<'a>, Value<'a>)>,
    /// The nulls.
    pub nulls: Nulls,
}

impl Predicate {
    /// A predicate that matches if all conditions of at least one alternative hold.
    #[must_use]
    pub fn new(alternatives: Vec<Vec<Condition>>) -> Self {
        Self { alternatives }
    }

    /// The alternatives.
    #[must_use]
    pub fn alternatives(&self) -> &[Vec<Condition>] {
        &self.alternatives
    }

    /// All conditions.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.alternatives.iter().flatten()
    }

    /// The names of the columns that it uses, each once.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for condition in self.conditions() {
            if !columns.contains(&&*condition.column) {
                columns.push(&condition.column);
            }
        }
        columns
    }

    /// Whether a row matches. `value` returns its values.
    pub fn truth<'v>(&self, value: impl Fn(&str) -> Value<'v>) -> Truth {
        self.combine(|condition| condition.test.truth(&value(&condition.column)))
    }

    /// Combines the truth of the conditions.
    pub fn combine(&self, mut truth: impl FnMut(&Condition) -> Truth) -> Truth {
        let mut whole = Truth::False;
        for alternative in &self.alternatives {
            let mut all = Truth::True;
            for condition in alternative {
                all = all.min(truth(condition));
                if all == Truth::False {
                    break;
                }
            }
            whole = whole.max(all);
            if whole == Truth::True {
                break;
            }
        }
        whole
    }

    /// The rest of the predicate for rows in which some columns have a known value, which `known` returns.
    pub fn given<'v>(&self, known: impl Fn(&str) -> Option<Value<'v>>) -> Rest {
        let mut alternatives = Vec::new();
        for alternative in &self.alternatives {
            let truth = |condition: &Condition| known(&condition.column).map(|value| condition.test.truth(&value));
            // With one condition that is not true, all of them together never are.
            if alternative.iter().any(|condition| truth(condition).is_some_and(|truth| truth != Truth::True)) {
                continue;
            }
            let open: Vec<Condition> =
                alternative.iter().filter(|condition| truth(condition).is_none()).cloned().collect();
            if open.is_empty() {
                return Rest::Everything;
            }
            alternatives.push(open);
        }
        if alternatives.is_empty() { Rest::Nothing } else { Rest::Some(Self { alternatives }) }
    }

    /// A predicate that no row matches.
    #[must_use]
    pub fn never() -> Self {
        Self { alternatives: Vec::new() }
    }

    /// Whether some row may match, given what `extent` knows about the columns. `false` proves that no row matches.
    pub fn possible<'v>(&self, extent: impl Fn(&str) -> ColumnStatistics<'v>) -> bool {
        self.possible_where(|condition| condition.test.possible(&extent(&condition.column)))
    }

    /// As [`Predicate::possible`], with the answer for each condition.
    pub fn possible_where(&self, possible: impl Fn(&Condition) -> bool) -> bool {
        self.alternatives.iter().any(|alternative| alternative.iter().all(&possible))
    }
}

impl Test {
    /// Whether a value matches.
    #[must_use]
    pub fn truth(&self, value: &Value<'_>) -> Truth {
        match self {
            Self::Null => Truth::from(matches!(value, Value::Null)),
            Self::NotNull => Truth::from(!matches!(value, Value::Null)),
            _ if matches!(value, Value::Null) => Truth::Unknown,
            Self::Compare(operator, operand) => operator.truth(operand.compare(value)),
            Self::In(list) => list.contains(value),
            Self::NotIn(list) => list.contains(value).not(),
        }
    }

    /// Whether any value with this extent may match.
    #[must_use]
    pub fn possible(&self, extent: &ColumnStatistics<'_>) -> bool {
        match self {
            Self::Null => return extent.nulls != Nulls::None,
            _ if extent.nulls == Nulls::All => return false,
            Self::NotNull => return true,
            _ => {}
        }
        let Some((least, greatest)) = &extent.between else { return true };
        match self {
            Self::Compare(operator, operand) => operator.possible(operand, least, greatest),
            Self::In(list) => list.items.iter().any(|item| Operator::Equal.possible(item, least, greatest)),
            Self::NotIn(list) => list.items.iter().all(|item| Operator::NotEqual.possible(item, least, greatest)),
            Self::Null | Self::NotNull => true,
        }
    }

    /// The literals.
    #[must_use]
    pub fn operands(&self) -> &[Operand] {
        match self {
            Self::Compare(_, operand) => std::slice::from_ref(operand),
            Self::In(list) | Self::NotIn(list) => &list.items,
            Self::Null | Self::NotNull => &[],
        }
    }

    /// The only values that can match, if the test lists them.
    #[must_use]
    pub fn wanted(&self) -> Option<&[Operand]> {
        match self {
            Self::Compare(Operator::Equal, operand) => Some(std::slice::from_ref(operand)),
            Self::In(list) => Some(&list.items),
            _ => None,
        }
    }
}

impl Condition {
    /// A condition.
    #[must_use]
    pub fn new(column: impl Into<Box<str>>, test: Test) -> Self {
        Self { column: column.into(), test }
    }

    /// Checks that it can be evaluated on a column of this kind.
    ///
    /// # Errors
    /// Config, with the column and the literal that cannot be compared with its values.
    pub fn check(&self, kind: Kind) -> Result<()> {
        let Some(odd) = self.test.operands().iter().find(|operand| !operand.fits(kind)) else { return Ok(()) };
        Err(Error::config(format!("a filter compares column '{}', whose values are {kind}, with {odd}", self.column))
            .with("column", &self.column)
            .hint(kind.hint()))
    }
}

impl Operator {
    fn truth(self, compared: Compared) -> Truth {
        let ordering = match compared {
            Compared::Order(ordering) => ordering,
            Compared::Unordered => return Truth::from(matches!(self, Self::NotEqual | Self::NotLess)),
            Compared::Incomparable => return Truth::Unknown,
        };
        Truth::from(match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual | Self::NotLess => ordering.is_ge(),
        })
    }

    fn possible(self, operand: &Operand, least: &Value<'_>, greatest: &Value<'_>) -> bool {
        let order = |value: &Value<'_>| match operand.compare(value) {
            Compared::Order(ordering) if operand.ordered_with(value) => Some(ordering),
            _ => None,
        };
        let (Some(least_order), Some(greatest_order)) = (order(least), order(greatest)) else { return true };
        // A NaN is between no bounds, and different from everything.
        let nan = matches!(least, Value::Single(_) | Value::Double(_));
        match self {
            Self::Equal => least_order.is_le() && greatest_order.is_ge(),
            Self::NotEqual => nan || least_order.is_ne() || greatest_order.is_ne(),
            Self::NotLess => nan || greatest_order.is_ge(),
            Self::Less => least_order.is_lt(),
            Self::LessOrEqual => least_order.is_le(),
            Self::Greater => greatest_order.is_gt(),
            Self::GreaterOrEqual => greatest_order.is_ge(),
        }
    }
}

impl List {
    /// A list.
    #[must_use]
    pub fn new(items: Vec<Operand>) -> Self {
        let known = (items.len() > SEARCHED).then(|| Known {
            numbers: items.iter().filter_map(|item| item.number()?.integer()).collect(),
            texts: items.iter().filter_map(|item| item.text().map(Box::from)).collect(),
        });
        Self { items, known }
    }

    fn contains(&self, value: &Value<'_>) -> Truth {
        if let Some(Known { numbers, texts }) = &self.known {
            match value {
                // Fewer than there are items: some are of another kind (or twice there), and each must be asked.
                Value::Integer(number) if numbers.len() == self.items.len() => {
                    return Truth::from(numbers.contains(number));
                }
                Value::Text(text) if texts.len() == self.items.len() => return Truth::from(texts.contains(*text)),
                _ => {}
            }
        }
        let mut found = Truth::Unknown;
        for item in &self.items {
            match item.compare(value) {
                Compared::Order(Ordering::Equal) => return Truth::True,
                Compared::Order(_) | Compared::Unordered => found = Truth::False,
                Compared::Incomparable => {}
            }
        }
        found
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        self.items == other.items
    }
}

impl Truth {
    /// The opposite. Unknown stays unknown.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a truth is no number")]
    pub fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}
