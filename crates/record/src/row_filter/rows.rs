//! Which rows of one file are kept, and what is counted of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_base::options::CsvOptions;
use tollgate_base::predicate::{Kind, Marks, Predicate, Rest, Truth, Value, small_integer};
use tollgate_base::schema::{ColumnType, Columns};

/// What a stream leaves out. Clones share it.
#[derive(Debug, Clone)]
pub struct RowFilter(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) filter: Option<Predicate>,
    pub(super) cursor: Option<CursorColumn>,
    /// The columns that are asked for, each once.
    pub(super) names: Vec<Box<str>>,
    pub(super) kinds: Vec<ColumnType>,
    /// What the records have, where the decoders give more.
    pub(super) written: Columns,
    pub(super) csv: CsvOptions,
}

/// The column of a record cursor.
#[derive(Debug, Clone)]
pub struct CursorColumn {
    /// Its name.
    pub name: String,
    /// Rows below are left out.
    pub bound: Marks,
}

/// What was left out of a file, or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Rows that the filter did not pass.
    pub filtered: u64,
    /// Rows below the cursor's bound.
    pub below: u64,
    /// Rows among the filtered ones of which nobody can tell, since a value is not of the kind that the filter compares
    /// it with; and an example for each column.
    pub incomparable: u64,
    /// Column and value.
    pub examples: BTreeMap<String, String>,
    /// For each column asked for, whether it was met in a file.
    pub met: BTreeMap<String, bool>,
}

/// Characters of an example that are shown.
const EXAMPLE_CHARS: usize = 40;

impl RowFilter {
    /// `None` where nothing is left out and no maximum is kept. `catalog` tells the types of texts; `written` are the
    /// columns of the records.
    #[must_use]
    pub fn new(
        filter: Option<Predicate>,
        cursor: Option<CursorColumn>,
        catalog: &Columns,
        written: &Columns,
        csv: &CsvOptions,
    ) -> Option<Self> {
        if filter.is_none() && cursor.is_none() {
            return None;
        }
        let mut names: Vec<Box<str>> = filter.iter().flat_map(Predicate::columns).map(Box::<str>::from).collect();
        if let Some(cursor) = &cursor
            && !names.iter().any(|name| **name == *cursor.name)
        {
            names.push(cursor.name.as_str().into());
        }
        let kinds = names.iter().map(|name| kind_in(catalog, name)).collect();
        let written = written.clone();
        Some(Self(Arc::new(Shared { filter, cursor, names, kinds, written, csv: csv.clone() })))
    }

    /// The columns that decoders must give for it.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.names.iter().map(|name| &**name)
    }

    /// For one file.
    #[must_use]
    pub fn file(&self) -> FileRowFilter {
        let left_out =
            LeftOut { met: self.0.names.iter().map(|name| (name.to_string(), false)).collect(), ..LeftOut::default() };
        let (shared, seen) = (Arc::clone(&self.0), Seen::default());
        FileRowFilter { shared, seen, left_out, row: 0, rows_left_out: Vec::new() }
    }

    /// For one file, in all of whose rows columns have the value that `known` gives, where it gives one.
    #[must_use]
    pub fn file_given<'v>(&self, known: impl Fn(&str) -> Option<Value<'v>>) -> FileRowFilter {
        let whole = self.file();
        if !self.columns().any(|name| known(name).is_some()) {
            return whole;
        }
        let (all, mut seen) = (&*self.0, Seen::default());
        let mut filter = match all.filter.as_ref().map(|filter| filter.given(&known)) {
            None | Some(Rest::Everything) => None,
            Some(Rest::Some(rest)) => Some(rest),
            Some(Rest::Nothing) => Some(Predicate::never()),
        };
        let cursor = match all.cursor.as_ref().map(|cursor| (cursor, known(&cursor.name))) {
            None => None,
            Some((cursor, None)) => Some(cursor.clone()),
            Some((cursor, Some(value))) => {
                match cursor.bound.above(&value) {
                    true => filter = Some(Predicate::never()),
                    false => seen.see(&value),
                }
                None
            }
        };
        let asked = all.names.iter().zip(&all.kinds).filter(|(name, _)| known(name).is_none());
        let (names, kinds) = asked.map(|(name, kind)| (name.clone(), *kind)).unzip();
        let mut left_out = whole.left_out;
        left_out.met.iter_mut().for_each(|(name, met)| *met |= known(name).is_some());
        let (written, csv) = (all.written.clone(), all.csv.clone());
        let shared = Arc::new(Shared { filter, cursor, names, kinds, written, csv });
        FileRowFilter { shared, seen, left_out, ..whole }
    }
}

fn kind_in(columns: &Columns, name: &str) -> ColumnType {
    match columns {
        Columns::All => ColumnType::Any,
        Columns::Listed(listed) => {
            listed.iter().find(|column| column.name == name).map_or(ColumnType::Any, |column| column.kind)
        }
    }
}

/// Leaves rows of one file out.
#[derive(Debug)]
pub struct FileRowFilter {
    pub(super) shared: Arc<Shared>,
    seen: Seen,
    pub(super) left_out: LeftOut,
    /// Rows of the present batch that were looked at, and those that are not wanted.
    pub(super) row: u32,
    pub(super) rows_left_out: Vec<u32>,
}

/// The greatest values so far, the frequent kinds of them as they come: a mark costs more than a comparison, and
/// values of a cursor's column mostly ascend.
#[derive(Debug, Default)]
struct Seen {
    integer: Option<i128>,
    instant: Option<i128>,
    double: Option<f64>,
    others: Marks,
}

impl Seen {
    #[inline]
    fn see(&mut self, value: &Value<'_>) {
        match value {
            Value::Integer(value) => self.integer = self.integer.max(Some(*value)),
            Value::Instant(value) => self.instant = self.instant.max(Some(*value)),
            Value::Double(value) if value.is_finite() => {
                self.double = Some(self.double.map_or(*value, |known| known.max(*value)));
            }
            Value::Digits(text) | Value::Text(text) => match small_integer(text) {
                Some(value) => self.integer = self.integer.max(Some(value)),
                None => self.others.see(value),
            },
            other => self.others.see(other),
        }
    }

    fn marks(mut self) -> Marks {
        let values =
            [self.integer.map(Value::Integer), self.instant.map(Value::Instant), self.double.map(Value::Double)];
        values.iter().flatten().for_each(|value| self.others.see(value));
        self.others
    }
}

impl Shared {
    pub(super) fn index(&self, name: &str) -> usize {
        self.names.iter().position(|known| **known == *name).unwrap_or_default()
    }
}

impl FileRowFilter {
    /// Where the rows were that the last batch lost, ascending.
    pub fn take_rows_left_out(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.rows_left_out)
    }

    /// The greatest values of the cursor's column since the last call.
    pub fn take_marks(&mut self) -> Marks {
        std::mem::take(&mut self.seen).marks()
    }

    /// Says which of the columns the file has, as far as its format knows: rows that were never decoded tell nothing.
    pub fn settle(&mut self, has: impl Fn(&str) -> Option<bool>) {
        for (column, met) in &mut self.left_out.met {
            *met |= has(column).unwrap_or(false);
        }
    }

    /// What was left out so far.
    #[must_use]
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Whether the next row is kept, whose values `value` gives by the index of their column in `names`.
    #[inline]
    pub(super) fn keeps<'v>(&mut self, shared: &Shared, value: impl Fn(usize) -> Value<'v>) -> bool {
        let kept = self.wants(shared, value);
        if !kept {
            self.rows_left_out.push(self.row);
        }
        self.row += 1;
        kept
    }

    #[inline]
    pub(super) fn wants<'v>(&mut self, shared: &Shared, value: impl Fn(usize) -> Value<'v>) -> bool {
        if let Some(filter) = &shared.filter {
            let mut odd = None;
            let truth = filter.combine(|condition| {
                let at = shared.index(&condition.column);
                let value = value(at);
                let truth = condition.test.truth(&value);
                if truth == Truth::Unknown && value != Value::Null {
                    odd = Some(at);
                }
                truth
            });
            if truth != Truth::True {
                self.left_out.filtered += 1;
                if let Some(at) = odd.filter(|_| truth == Truth::Unknown) {
                    self.left_out.add_incomparable(&shared.names[at], &value(at));
                }
                return false;
            }
        }
        let Some(cursor) = &shared.cursor else { return true };
        let value = value(shared.index(&cursor.name));
        if cursor.bound.above(&value) {
            self.left_out.below += 1;
            return false;
        }
        self.seen.see(&value);
        true
    }

    pub(super) fn meet(&mut self, index: usize) {
        if let Some(met) = self.left_out.met.get_mut(&*self.shared.names[index]) {
            *met = true;
        }
    }
}

impl LeftOut {
    fn add_incomparable(&mut self, column: &str, value: &Value<'_>) {
        self.incomparable += 1;
        if !self.examples.contains_key(column) {
            let text = match value {
                Value::Text(text) | Value::Digits(text) => String::from_utf8_lossy(text).into_owned(),
                Value::Other => "a list, an object, or a string that is not of the column's type".to_owned(),
                value => format!("{value:?}"),
            };
            self.examples.insert(column.to_owned(), text.chars().take(EXAMPLE_CHARS * 2).collect());
        }
    }

    /// Adds what was left out of another file.
    pub fn merge(&mut self, other: &Self) {
        self.filtered += other.filtered;
        self.below += other.below;
        self.incomparable += other.incomparable;
        for (column, example) in &other.examples {
            self.examples.entry(column.clone()).or_insert_with(|| example.clone());
        }
        for (column, met) in &other.met {
            *self.met.entry(column.clone()).or_default() |= met;
        }
    }

    /// A sentence per fact; the flag tells whether it should worry somebody.
    #[must_use]
    pub fn notes(&self) -> Vec<(bool, String)> {
        let mut notes = Vec::new();
        if self.filtered > 0 {
            notes.push((false, format!("{} rows skipped: they do not match the filter", self.filtered)));
        }
        if self.below > 0 {
            let what = "skipped: lower than the greatest value of earlier syncs in the cursor column";
            notes.push((false, format!("{} rows {what}", self.below)));
        }
        if self.incomparable > 0 {
            let examples: Vec<_> =
                self.examples.iter().map(|(column, value)| format!("'{value}' in column '{column}'")).collect();
            let what = "skipped: they have a value that cannot be compared with the filter";
            notes.push((true, format!("{} rows {what}, for example {}", self.incomparable, examples.join(", "))));
        }
        for (column, _) in self.met.iter().filter(|(_, met)| !**met) {
            notes.push((
                true,
                format!("no file has the column '{column}' of the filter or the cursor; it counts as null"),
            ));
        }
        notes
    }
}

/// What a column of the catalog is compared as.
pub(super) fn kind_of(column: ColumnType) -> Kind {
    match column {
        ColumnType::Boolean => Kind::Boolean,
        ColumnType::Integer | ColumnType::Number => Kind::Number,
        ColumnType::Date | ColumnType::Timestamp => Kind::Instant,
        ColumnType::Time => Kind::Time,
        ColumnType::Array | ColumnType::Object => Kind::Other,
        ColumnType::Null | ColumnType::String | ColumnType::AnyScalar | ColumnType::Any => Kind::Text,
    }
}
