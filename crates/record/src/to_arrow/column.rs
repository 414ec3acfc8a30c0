//! Cells → the array of a field. The type is looked at once per column; nested values are columns of their own.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanBuilder, GenericListArray, GenericStringBuilder, MapArray, NullArray,
    NullBufferBuilder, OffsetSizeTrait, PrimitiveArray, StringViewBuilder, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::*;
use arrow::error::ArrowError;

use super::cell::{Cell, CellKind};
use super::misfit::{Cause, Misfit, unexpected, unsupported};
use super::number::{decimal, float, integer};
use super::split::{split_array, split_object};
use super::time::{Clock, date, time, timestamp};
use crate::cast::{nullable, truth};
use tollgate_base::error::Result;
use tollgate_base::options::CsvOptions;

/// What all cells of a column share.
#[derive(Debug)]
pub(super) struct Context<'a> {
    /// The index of the schema's field.
    pub(super) column: u32,
    /// What texts mean.
    pub(super) csv: &'a CsvOptions,
    /// Where values are noted that do not fit.
    pub(super) misfits: &'a mut Vec<Misfit>,
}

impl Context<'_> {
    fn note(&mut self, cell: &Cell<'_>, cause: Cause) {
        if cell.row != Cell::NO_ROW {
            self.misfits.push(Misfit { row: cell.row, column: self.column, cause });
        }
    }

    /// Notes a cell that has no value of its field's type.
    #[inline]
    fn without_value(&mut self, cell: &Cell<'_>, field: &Field) {
        if cell.kind != CellKind::Null && !self.means_null(cell, field) {
            self.note(cell, Cause::Type);
        } else if !field.is_nullable() {
            self.note(cell, Cause::Null);
        }
    }

    /// Whether a text that is no value of the type is one of those that mean null: it is looked up after the cast, as for
    /// records.
    #[cold]
    fn means_null(&self, cell: &Cell<'_>, field: &Field) -> bool {
        let word = || self.csv.null_values.iter().any(|null| null == cell.text);
        cell.kind == CellKind::Text && nullable(as_it_is(field.data_type()), self.csv) && word()
    }
}

/// Whether records have texts for the type as they are written, uncast.
pub(super) fn as_it_is(kind: &DataType) -> bool {
    kind.is_string()
        || matches!(
            kind,
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Timestamp(_, _)
        )
}

/// The array of a field, with a null for each cell that does not fit. Nested fields all take nulls: see [`relaxed`].
///
/// # Errors
/// `Unsupported` where no cell can become a value of the type.
pub(super) fn column(cells: &[Cell<'_>], field: &Field, context: &mut Context<'_>) -> Result<ArrayRef> {
    let kind = field.data_type();
    Ok(match kind {
        DataType::Null => nulls(cells, field, context),
        DataType::Boolean => booleans(cells, field, context),
        DataType::Int8 => primitives::<Int8Type>(cells, field, context, integer::<Int8Type>),
        DataType::Int16 => primitives::<Int16Type>(cells, field, context, integer::<Int16Type>),
        DataType::Int32 => primitives::<Int32Type>(cells, field, context, integer::<Int32Type>),
        DataType::Int64 => primitives::<Int64Type>(cells, field, context, integer::<Int64Type>),
        DataType::UInt8 => primitives::<UInt8Type>(cells, field, context, integer::<UInt8Type>),
        DataType::UInt16 => primitives::<UInt16Type>(cells, field, context, integer::<UInt16Type>),
        DataType::UInt32 => primitives::<UInt32Type>(cells, field, context, integer::<UInt32Type>),
        DataType::UInt64 => primitives::<UInt64Type>(cells, field, context, integer::<UInt64Type>),
        DataType::Float16 => primitives::<Float16Type>(cells, field, context, float::<Float16Type>),
        DataType::Float32 => primitives::<Float32Type>(cells, field, context, float::<Float32Type>),
        DataType::Float64 => primitives::<Float64Type>(cells, field, context, float::<Float64Type>),
        DataType::Decimal32(p, s) => decimals::<Decimal32Type>(cells, field, context, *p, *s),
        DataType::Decimal64(p, s) => decimals::<Decimal64Type>(cells, field, context, *p, *s),
        DataType::Decimal128(p, s) => decimals::<Decimal128Type>(cells, field, context, *p, *s),
        DataType::Decimal256(p, s) => decimals::<Decimal256Type>(cells, field, context, *p, *s),
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => {
            calendar(cells, field, context)
        }
        DataType::Timestamp(unit, zone) => timestamps(cells, field, context, *unit, Clock::of(zone.as_deref())),
        DataType::Utf8 => strings::<i32>(cells, field, context),
        DataType::LargeUtf8 => strings::<i64>(cells, field, context),
        DataType::Utf8View => string_views(cells, field, context),
        DataType::List(item) => list::<i32>(cells, field, item, context)?,
        DataType::LargeList(item) => list::<i64>(cells, field, item, context)?,
        DataType::Struct(members) => structs(cells, field, members, context)?,
        DataType::Map(entries, sorted) => maps(cells, field, entries, *sorted, context)?,
        DataType::Dictionary(_, values) => {
            let values = column(cells, &field.clone().with_data_type((**values).clone()), context)?;
            cast(&values, kind).map_err(unexpected)?
        }
        _ => return Err(unsupported(field)),
    })
}

/// The type with nested fields that all take nulls. Rows that do not fit have nulls until they are taken out.
fn relaxed(kind: &DataType) -> DataType {
    let field = |field: &FieldRef| Arc::new(relaxed_field(field));
    match kind {
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::Struct(members) => DataType::Struct(members.iter().map(|member| relaxed_field(member)).collect()),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(parts) if parts.len() == 2 => {
                let parts = DataType::Struct(vec![Arc::clone(&parts[0]), field(&parts[1])].into());
                DataType::Map(Arc::new(entries.as_ref().clone().with_data_type(parts)), *sorted)
            }
            _ => kind.clone(),
        },
        _ => kind.clone(),
    }
}

fn relaxed_field(field: &Field) -> Field {
    field.clone().with_nullable(true).with_data_type(relaxed(field.data_type()))
}

fn nulls(cells: &[Cell<'_>], field: &Field, context: &mut Context<'_>) -> ArrayRef {
    cells.iter().for_each(|cell| context.without_value(cell, field));
    Arc::new(NullArray::new(cells.len()))
}

fn booleans(cells: &[Cell<'_>], field: &Field, context: &mut Context<'_>) -> ArrayRef {
    let mut values = BooleanBuilder::with_capacity(cells.len());
    for cell in cells {
        let value = match cell.kind {
            CellKind::Text => truth(cell.text, context.csv),
            CellKind::Boolean => Some(cell.text == "true"),
            _ => None,
        };
        values.append_option(value);
        if value.is_none() {
            context.without_value(cell, field);
        }
    }
    Arc::new(values.finish())
}

fn primitives<T: ArrowPrimitiveType>(
    cells: &[Cell<'_>],
    field: &Field,
    context: &mut Context<'_>,
    parse: impl Fn(&Cell<'_>) -> Option<T::Native>,
) -> ArrayRef {
    let mut values = Vec::with_capacity(cells.len());
    let mut nulls = NullBufferBuilder::new(cells.len());
    for cell in cells {
        let value = parse(cell);
        values.push(value.unwrap_or_default());
        nulls.append(value.is_some());
        if value.is_none() {
            context.without_value(cell, field);
        }
    }
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls.finish()).with_data_type(field.data_type().clone()))
}

fn decimals<T: DecimalType>(
    cells: &[Cell<'_>],
    field: &Field,
    context: &mut Context<'_>,
    precision: u8,
    scale: i8,
) -> ArrayRef {
    primitives::<T>(cells, field, context, |cell| decimal::<T>(cell, precision, scale))
}

fn calendar(cells: &[Cell<'_>], field: &Field, context: &mut Context<'_>) -> ArrayRef {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let narrow = |cell: &Cell<'_>, unit| time(cell, unit).and_then(|value| i32::try_from(value).ok());
    match field.data_type() {
        DataType::Date32 => primitives::<Date32Type>(cells, field, context, date),
        DataType::Date64 => {
            primitives::<Date64Type>(cells, field, context, |cell| date(cell).map(|days| i64::from(days) * 86_400_000))
        }
        DataType::Time32(Second) => primitives::<Time32SecondType>(cells, field, context, |cell| narrow(cell, Second)),
        DataType::Time32(_) => {
            primitives::<Time32MillisecondType>(cells, field, context, |cell| narrow(cell, Millisecond))
        }
        DataType::Time64(Microsecond) => {
            primitives::<Time64MicrosecondType>(cells, field, context, |cell| time(cell, Microsecond))
        }
        _ => primitives::<Time64NanosecondType>(cells, field, context, |cell| time(cell, Nanosecond)),
    }
}

fn timestamps(cells: &[Cell<'_>], field: &Field, context: &mut Context<'_>, unit: TimeUnit, clock: Clock) -> ArrayRef {
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match unit {
        Second => primitives::<TimestampSecondType>(cells, field, context, |cell| timestamp(cell, Second, clock)),
        Millisecond => {
            primitives::<TimestampMillisecondType>(cells, field, context, |cell| timestamp(cell, Millisecond, clock))
        }
        Microsecond => {
            primitives::<TimestampMicrosecondType>(cells, field, context, |cell| timestamp(cell, Microsecond, clock))
        }
        Nanosecond => {
            primitives::<TimestampNanosecondType>(cells, field, context, |cell| timestamp(cell, Nanosecond, clock))
        }
    }
}

fn strings<O: OffsetSizeTrait>(cells: &[Cell<'_>], field: &Field, context: &mut Context<'_>) -> ArrayRef {
    let bytes = cells.iter().map(|cell| cell.text.len()).sum();
    let mut values = GenericStringBuilder::<O>::with_capacity(cells.len(), bytes);
    texts(cells, field, context, |text| values.append_option(text));
    Arc::new(values.finish())
}

fn string_views(cells: &[Cell<'_>], field: &Field, context: &mut Context<'_>) -> ArrayRef {
    let mut values = StringViewBuilder::with_capacity(cells.len());
    texts(cells, field, context, |text| values.append_option(text));
    Arc::new(values.finish())
}

/// Hands over the text of each cell, or `None`: what is no string has the text that is written.
#[inline]
fn texts(cells: &[Cell<'_>], field: &Field, context: &mut Context<'_>, mut take: impl FnMut(Option<&str>)) {
    for cell in cells {
        match cell.kind {
            CellKind::Null => {}
            CellKind::String => {
                if let Some(text) = cell.string() {
                    take(Some(&text));
                    continue;
                }
            }
            _ => {
                take(Some(cell.text));
                continue;
            }
        }
        take(None);
        context.without_value(cell, field);
    }
}

/// Whether a cell may be an array, or an object, by its first character.
fn begins_with(cell: &Cell<'_>, kind: CellKind, first: char) -> bool {
    cell.kind == kind || (cell.kind == CellKind::Text && cell.text.trim_start().starts_with(first))
}

fn list<O: OffsetSizeTrait>(
    cells: &[Cell<'_>],
    field: &Field,
    item: &FieldRef,
    context: &mut Context<'_>,
) -> Result<ArrayRef> {
    let (mut lengths, mut nulls) = (Vec::with_capacity(cells.len()), NullBufferBuilder::new(cells.len()));
    let mut items = Vec::new();
    for cell in cells {
        let before = items.len();
        let split = begins_with(cell, CellKind::Array, '[')
            && split_array(cell.text, cell.row, |item| items.push(item)).is_some();
        if !split {
            items.truncate(before);
            context.without_value(cell, field);
        }
        lengths.push(items.len() - before);
        nulls.append(split);
    }
    let values = column(&items, item, context)?;
    let (item, offsets) = (Arc::new(relaxed_field(item)), OffsetBuffer::<O>::from_lengths(lengths));
    array(GenericListArray::try_new(item, offsets, values, nulls.finish()))
}

/// An array whose parts were made to fit together.
fn array<A: Array + 'static>(made: Result<A, ArrowError>) -> Result<ArrayRef> {
    made.map(|made| Arc::new(made) as ArrayRef).map_err(unexpected)
}

fn structs(cells: &[Cell<'_>], field: &Field, members: &Fields, context: &mut Context<'_>) -> Result<ArrayRef> {
    let places: HashMap<&str, usize> =
        members.iter().zip(0..).map(|(member, place)| (&**member.name(), place)).collect();
    let mut columns = vec![Vec::with_capacity(cells.len()); members.len()];
    let mut nulls = NullBufferBuilder::new(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        columns.iter_mut().for_each(|column| column.push(Cell::null(cell.row)));
        // Of members with one name the last one counts. The next one is mostly the next of the struct.
        let mut next = 0;
        let split = begins_with(cell, CellKind::Object, '{')
            && split_object(cell.text, cell.row, |name, value| {
                let guessed = members.get(next).is_some_and(|member| member.name() == name);
                if let Some(place) = if guessed { Some(next) } else { places.get(name).copied() } {
                    columns[place][index] = value;
                    next = place + 1;
                }
            })
            .is_some();
        if !split {
            columns.iter_mut().for_each(|column| column[index] = Cell::null(Cell::NO_ROW));
            if cell.kind != CellKind::Text || cell.text.trim() != "null" || !field.is_nullable() {
                context.without_value(cell, field);
            }
        }
        nulls.append(split);
    }
    let arrays = members.iter().zip(&columns).map(|(member, cells)| column(cells, member, context));
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    struct_array(members, arrays, nulls.finish(), cells.len())
}

fn struct_array(members: &Fields, arrays: Vec<ArrayRef>, nulls: Option<NullBuffer>, rows: usize) -> Result<ArrayRef> {
    let members: Fields = members.iter().map(|member| relaxed_field(member)).collect();
    array(StructArray::try_new_with_length(members, arrays, nulls, rows))
}

fn maps(
    cells: &[Cell<'_>],
    field: &Field,
    entries: &FieldRef,
    sorted: bool,
    context: &mut Context<'_>,
) -> Result<ArrayRef> {
    let DataType::Struct(parts) = entries.data_type() else { return Err(unsupported(field)) };
    let [key, value] = &**parts else { return Err(unsupported(field)) };
    if sorted || *key.data_type() != DataType::Utf8 {
        return Err(unsupported(field));
    }
    let (mut lengths, mut nulls) = (Vec::with_capacity(cells.len()), NullBufferBuilder::new(cells.len()));
    // The keys that were read last may be those of an object that turns out to be none: they are written afterwards.
    let (mut keys, mut row_keys) = (GenericStringBuilder::<i32>::new(), Vec::new());
    let mut values = Vec::new();
    for cell in cells {
        let before = values.len();
        row_keys.clear();
        let split = begins_with(cell, CellKind::Object, '{')
            && split_object(cell.text, cell.row, |key, value| {
                row_keys.push(key.to_owned());
                values.push(value);
            })
            .is_some();
        if split {
            row_keys.iter().for_each(|key| keys.append_value(key));
        } else {
            values.truncate(before);
            context.without_value(cell, field);
        }
        lengths.push(values.len() - before);
        nulls.append(split);
    }
    let values = column(&values, value, context)?;
    let DataType::Map(entries, _) = relaxed(field.data_type()) else { return Err(unsupported(field)) };
    let DataType::Struct(parts) = entries.data_type() else { return Err(unsupported(field)) };
    let arrays: Vec<ArrayRef> = vec![Arc::new(keys.finish()), values];
    let pairs = StructArray::try_new(parts.clone(), arrays, None).map_err(unexpected)?;
    array(MapArray::try_new(Arc::clone(&entries), OffsetBuffer::from_lengths(lengths), pairs, nulls.finish(), sorted))
}
