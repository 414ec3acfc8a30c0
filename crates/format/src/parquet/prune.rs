//! Which rows of a file cannot be wanted, as its statistics, page indexes and bloom filters prove.
//!
//! All of them say what *may* be: a row group or page that is kept may have no wanted row, one that is left out has none.
//! What is not understood (statistics of another order than the column's, of INT96, of nested columns, NaN) says nothing.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit, i256};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::basic::{LogicalType, SortOrder, TimeUnit as ParquetUnit, Type};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData, RowGroupMetaData};
use parquet::schema::types::ColumnDescriptor;

use super::guard::guarded;
use super::index::{Location, PageValues};
use tollgate_base::predicate::{
    ColumnStatistics, Compared, Condition, DAY_NANOS, Nulls, Operand, Predicate, Value, text_or_bytes,
};

/// The filters of a stream, and where their columns are in a file.
#[derive(Debug)]
pub(super) struct Pruner {
    predicates: Arc<[Predicate]>,
    columns: Vec<Asked>,
}

/// A column that a filter asks for.
#[derive(Debug)]
struct Asked {
    name: Box<str>,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// The file does not have it: all of its values are null.
    Missing,
    /// It is nested, or of a type whose statistics are not understood.
    Opaque,
    /// A column of its own.
    Leaf(Leaf),
}

#[derive(Debug, Clone, Copy)]
struct Leaf {
    index: usize,
    form: Form,
    physical: Type,
}

/// How the bytes of a statistic become a value.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Boolean,
    Signed,
    Unsigned,
    Single,
    Double,
    Days,
    /// Nanoseconds per unit.
    Instant(i64),
    /// Nanoseconds per unit.
    Time(i64),
    /// The scale of a whole number, the least byte first.
    SmallDecimal(i8),
    /// The scale of a whole number, the greatest byte first.
    Decimal(i8),
    Bytes,
}

/// What the page indexes and bloom filters of a row group say, in the order of the filters' columns.
#[derive(Debug, Default)]
pub(super) struct GroupFacts<'a> {
    pub(super) pages: Vec<Option<(&'a [Location], PageValues<'a>)>>,
    pub(super) blooms: Vec<Option<Sbbf>>,
}

impl Pruner {
    /// `None` where there are no filters.
    pub(super) fn new(predicates: &Arc<[Predicate]>, schema: &Schema, file: &FileMetaData) -> Option<Self> {
        if predicates.is_empty() {
            return None;
        }
        let mut columns: Vec<Asked> = Vec::new();
        for name in predicates.iter().flat_map(Predicate::columns) {
            if !columns.iter().any(|column| *column.name == *name) {
                columns.push(Asked { name: name.into(), place: place(name, schema, file) });
            }
        }
        Some(Self { predicates: Arc::clone(predicates), columns })
    }

    /// The leaves whose statistics are of use, each with its index among the filters' columns.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (usize, usize)> {
        self.columns.iter().enumerate().filter_map(|(index, column)| match column.place {
            Place::Leaf(leaf) => Some((index, leaf.index)),
            Place::Missing | Place::Opaque => None,
        })
    }

    /// The number of the filters' columns.
    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Whether a bloom filter of the filters' column could rule out anything: somebody asks for single values.
    pub(super) fn asks_for_values(&self, column: usize) -> bool {
        let Place::Leaf(leaf) = self.columns[column].place else { return false };
        let name = &self.columns[column].name;
        let mut conditions = self.predicates.iter().flat_map(Predicate::conditions);
        conditions.any(|condition| {
            condition.column == *name
                && condition
                    .test
                    .wanted()
                    .is_some_and(|wanted| wanted.iter().all(|operand| leaf.stored(operand).is_some()))
        })
    }

    /// Whether a row group may have a wanted row.
    pub(super) fn possible(&self, group: &RowGroupMetaData, facts: &GroupFacts<'_>) -> bool {
        self.predicates.iter().all(|predicate| {
            predicate.possible_where(|condition| {
                let index = self.index(condition);
                let extent = self.extent(index, group);
                condition.test.possible(&extent) && self.bloom_allows(index, condition, facts)
            })
        })
    }

    /// How the values of all row groups lie to each literal of the filters: how the least and the greatest compare with it.
    /// `None` where statistics do not tell.
    pub(super) fn standing(&self, groups: &[RowGroupMetaData]) -> Vec<Option<(Ordering, Ordering)>> {
        let conditions = self.predicates.iter().flat_map(Predicate::conditions);
        let literals =
            conditions.flat_map(|condition| condition.test.operands().iter().map(move |literal| (condition, literal)));
        let of_literal = |(condition, literal): (&Condition, &Operand)| {
            let index = self.index(condition);
            let of_group = |group| {
                let (least, greatest) = self.extent(index, group).between?;
                match (literal.compare(&least), literal.compare(&greatest)) {
                    (Compared::Order(least), Compared::Order(greatest)) => Some((least, greatest)),
                    _ => None,
                }
            };
            let with_rows = groups.iter().filter(|group| group.num_rows() > 0);
            with_rows.map(of_group).reduce(|all, group| {
                let (all, group) = (all?, group?);
                Some((all.0.min(group.0), all.1.max(group.1)))
            })?
        };
        literals.map(of_literal).collect()
    }

    fn index(&self, condition: &Condition) -> usize {
        self.columns.iter().position(|column| column.name == condition.column).unwrap_or_default()
    }

    fn extent<'a>(&self, index: usize, group: &'a RowGroupMetaData) -> ColumnStatistics<'a> {
        match self.columns[index].place {
            Place::Missing => ColumnStatistics { between: None, nulls: Nulls::All },
            Place::Opaque => ColumnStatistics::default(),
            Place::Leaf(leaf) => chunk_extent(group.column(leaf.index), group.num_rows(), leaf.form),
        }
    }

    fn bloom_allows(&self, index: usize, condition: &Condition, facts: &GroupFacts<'_>) -> bool {
        let Some(Some(bloom)) = facts.blooms.get(index) else { return true };
        let (Place::Leaf(leaf), Some(wanted)) = (self.columns[index].place, condition.test.wanted()) else {
            return true;
        };
        wanted.iter().any(|operand| leaf.stored(operand).is_none_or(|stored| stored.within(bloom)))
    }

    /// The rows of a row group that may be wanted, as its pages tell.
    pub(super) fn rows(&self, rows: usize, facts: &GroupFacts<'_>) -> Vec<Range<usize>> {
        let mut kept = RowSelection::from(vec![RowSelector::select(rows)]);
        for predicate in self.predicates.iter() {
            let mut passing = RowSelection::from(vec![RowSelector::skip(rows)]);
            for alternative in predicate.alternatives() {
                let mut all = RowSelection::from(vec![RowSelector::select(rows)]);
                for condition in alternative {
                    if let Some(pages) = self.pages(condition, rows, facts) {
                        all = all.intersection(&RowSelection::from_consecutive_ranges(pages.into_iter(), rows));
                    }
                }
                passing = passing.union(&all);
            }
            kept = kept.intersection(&passing);
        }
        ranges(&kept)
    }

    /// The rows of the pages in which a condition may hold; `None` where nothing is known.
    fn pages(&self, condition: &Condition, rows: usize, facts: &GroupFacts<'_>) -> Option<Vec<Range<usize>>> {
        let index = self.index(condition);
        let Place::Leaf(Leaf { form, .. }) = self.columns[index].place else { return None };
        let (locations, values) = facts.pages.get(index)?.as_ref()?;
        let mut kept: Vec<Range<usize>> = Vec::new();
        for (page, location) in locations.iter().enumerate() {
            if !condition.test.possible(&page_extent(values, page, form)) {
                continue;
            }
            let start = location.first_row as usize;
            let end = locations.get(page + 1).map_or(rows, |next| next.first_row as usize);
            match kept.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => kept.push(start..end),
            }
        }
        Some(kept)
    }
}

/// The selected rows of a selection.
fn ranges(selection: &RowSelection) -> Vec<Range<usize>> {
    let (mut at, mut kept) = (0, Vec::<Range<usize>>::new());
    for selector in selection.iter() {
        let end = at + selector.row_count;
        match kept.last_mut() {
            _ if selector.skip || selector.row_count == 0 => {}
            Some(last) if last.end == at => last.end = end,
            _ => kept.push(at..end),
        }
        at = end;
    }
    kept
}

fn place(name: &str, schema: &Schema, file: &FileMetaData) -> Place {
    let Some((_, field)) = schema.column_with_name(name) else {
        // Flattened, a member of a column may have this name.
        let holds = |field: &Arc<Field>| {
            matches!(field.data_type(), DataType::Struct(_))
                && name.strip_prefix(field.name().as_str()).is_some_and(|rest| rest.starts_with('_'))
        };
        return if schema.fields().iter().any(holds) { Place::Opaque } else { Place::Missing };
    };
    let leaves = file.schema_descr();
    let leaf = leaves.columns().iter().position(|leaf| leaf.path().parts() == [name]);
    let Some(index) = leaf.filter(|leaf| leaves.column(*leaf).max_rep_level() == 0) else { return Place::Opaque };
    let column = leaves.column(index);
    // Files say which order their statistics follow; where they say nothing, it is the signed one of old.
    if file.column_order(index).sort_order() != column.sort_order() {
        return Place::Opaque;
    }
    form(field.data_type(), &column)
        .map_or(Place::Opaque, |form| Place::Leaf(Leaf { index, form, physical: column.physical_type() }))
}

/// How statistics of a column become values: only where the order that they were made in is that of the values which
/// rows have as the Arrow type.
fn form(data_type: &DataType, leaf: &ColumnDescriptor) -> Option<Form> {
    let (physical, logical, order) = (leaf.physical_type(), leaf.logical_type_ref(), leaf.sort_order());
    let signed = order == SortOrder::SIGNED;
    let numbers = matches!(physical, Type::INT32 | Type::INT64);
    Some(match data_type {
        DataType::Dictionary(_, values) => return form(values, leaf),
        DataType::Boolean if physical == Type::BOOLEAN => Form::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 if numbers && signed => Form::Signed,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64
            if numbers && order == SortOrder::UNSIGNED =>
        {
            Form::Unsigned
        }
        DataType::Float32 if physical == Type::FLOAT => Form::Single,
        DataType::Float64 if physical == Type::DOUBLE => Form::Double,
        DataType::Date32 if physical == Type::INT32 && signed => Form::Days,
        DataType::Timestamp(unit, _) if physical == Type::INT64 && signed => match logical {
            Some(LogicalType::Timestamp(stored)) => Form::Instant(nanos(&stored.unit)),
            // The older annotations have no nanoseconds, and the Arrow type then is what they say.
            _ if *unit == TimeUnit::Millisecond => Form::Instant(1_000_000),
            _ if *unit == TimeUnit::Microsecond => Form::Instant(1000),
            _ => return None,
        },
        DataType::Time32(_) | DataType::Time64(_) if numbers && signed => match logical {
            Some(LogicalType::Time(stored)) => Form::Time(nanos(&stored.unit)),
            _ => return None,
        },
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale)
            if signed && i32::from(*scale) == leaf.type_scale() =>
        {
            if numbers {
                Form::SmallDecimal(*scale)
            } else {
                Form::Decimal(*scale)
            }
        }
        kind if text_or_bytes(kind)
            && order == SortOrder::UNSIGNED
            && matches!(physical, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY) =>
        {
            Form::Bytes
        }
        _ => return None,
    })
}

fn nanos(unit: &ParquetUnit) -> i64 {
    match unit {
        ParquetUnit::MILLIS => 1_000_000,
        ParquetUnit::MICROS => 1000,
        ParquetUnit::NANOS => 1,
    }
}

fn chunk_extent(chunk: &ColumnChunkMetaData, rows: i64, form: Form) -> ColumnStatistics<'_> {
    let Some(statistics) = chunk.statistics() else { return ColumnStatistics::default() };
    let nulls = match statistics.null_count_opt() {
        Some(0) => Nulls::None,
        Some(nulls) if u64::try_from(rows).is_ok_and(|rows| nulls == rows) => Nulls::All,
        _ => Nulls::Unknown,
    };
    // The first versions of the format compared everything as signed.
    let ordered = !statistics.is_min_max_deprecated()
        || matches!(form, Form::Signed | Form::Days | Form::Instant(_) | Form::Time(_) | Form::SmallDecimal(_));
    let bytes = statistics.min_bytes_opt().zip(statistics.max_bytes_opt()).filter(|_| ordered);
    ColumnStatistics { between: bytes.and_then(|(least, greatest)| between(least, greatest, form)), nulls }
}

fn page_extent<'a>(values: &PageValues<'a>, page: usize, form: Form) -> ColumnStatistics<'a> {
    if values.null_pages[page] {
        return ColumnStatistics { between: None, nulls: Nulls::All };
    }
    let nulls = if values.null_counts.get(page) == Some(&0) { Nulls::None } else { Nulls::Unknown };
    ColumnStatistics { between: between(values.least[page], values.greatest[page], form), nulls }
}

fn between<'a>(least: &'a [u8], greatest: &'a [u8], form: Form) -> Option<(Value<'a>, Value<'a>)> {
    Some((value(least, form)?, value(greatest, form)?))
}

/// The value of a statistic's bytes; `None` where they are none, and for NaN, which is between no bounds.
fn value(bytes: &[u8], form: Form) -> Option<Value<'_>> {
    let signed = || match bytes.len() {
        4 => Some(i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        8 => Some(i64::from_le_bytes(bytes.try_into().ok()?)),
        _ => None,
    };
    Some(match form {
        Form::Boolean => Value::Boolean(*bytes.first()? != 0),
        Form::Signed => Value::Integer(signed()?.into()),
        Form::Unsigned => match bytes.len() {
            4 => Value::Integer(u32::from_le_bytes(bytes.try_into().ok()?).into()),
            8 => Value::Integer(u64::from_le_bytes(bytes.try_into().ok()?).into()),
            _ => return None,
        },
        Form::Single => {
            Value::Single(Some(f32::from_le_bytes(bytes.try_into().ok()?)).filter(|value| !value.is_nan())?)
        }
        Form::Double => {
            Value::Double(Some(f64::from_le_bytes(bytes.try_into().ok()?)).filter(|value| !value.is_nan())?)
        }
        Form::Days => Value::Instant(i128::from(signed()?) * DAY_NANOS),
        Form::Instant(nanos) => Value::Instant(i128::from(signed()?) * i128::from(nanos)),
        Form::Time(nanos) => Value::Time(signed()?.saturating_mul(nanos)),
        Form::SmallDecimal(scale) => Value::Decimal(i256::from_i128(signed()?.into()), scale),
        Form::Decimal(scale) => Value::Decimal(decimal(bytes)?, scale),
        Form::Bytes => Value::Text(bytes),
    })
}

fn decimal(bytes: &[u8]) -> Option<i256> {
    if bytes.is_empty() || bytes.len() > 32 {
        return None;
    }
    let fill = if bytes[0] & 0x80 != 0 { 0xff } else { 0 };
    let mut whole = [fill; 32];
    whole[32 - bytes.len()..].copy_from_slice(bytes);
    Some(i256::from_be_bytes(whole))
}

/// A literal as the file stores it.
enum Stored<'a> {
    Int32(i32),
    Int64(i64),
    Single(f32),
    Double(f64),
    Bytes(&'a [u8]),
}

impl Leaf {
    /// The one form in which the file can have a literal's value; `None` where it has another or several, as zero has.
    fn stored<'o>(&self, operand: &'o Operand) -> Option<Stored<'o>> {
        let number = || operand.number();
        let units =
            |nanos: i128| operand.instant().filter(|instant| instant % nanos == 0).map(|instant| instant / nanos);
        let whole = match self.form {
            Form::Signed | Form::Unsigned => number()?.integer()?,
            Form::Days => units(DAY_NANOS)?,
            Form::Instant(nanos) => units(nanos.into())?,
            Form::Single => return Some(number()?.single()).filter(|value| value.is_normal()).map(Stored::Single),
            Form::Double => return Some(number()?.double()).filter(|value| value.is_normal()).map(Stored::Double),
            Form::Bytes => return operand.text().map(Stored::Bytes),
            Form::Boolean | Form::Time(_) | Form::SmallDecimal(_) | Form::Decimal(_) => return None,
        };
        match (self.physical, self.form) {
            (Type::INT32, Form::Unsigned) => Some(Stored::Int32(u32::try_from(whole).ok()? as i32)),
            (Type::INT32, _) => Some(Stored::Int32(i32::try_from(whole).ok()?)),
            (Type::INT64, Form::Unsigned) => Some(Stored::Int64(u64::try_from(whole).ok()? as i64)),
            (Type::INT64, _) => Some(Stored::Int64(i64::try_from(whole).ok()?)),
            _ => None,
        }
    }
}

impl Stored<'_> {
    /// Whether a bloom filter may have it. A damaged filter may.
    fn within(&self, bloom: &Sbbf) -> bool {
        let check = || match self {
            Self::Int32(value) => bloom.check(value),
            Self::Int64(value) => bloom.check(value),
            Self::Single(value) => bloom.check(value),
            Self::Double(value) => bloom.check(value),
            Self::Bytes(value) => bloom.check(*value),
        };
        guarded(|| Ok(check())).unwrap_or(true)
    }
}
