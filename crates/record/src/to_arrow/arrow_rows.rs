//! Arrow columns → columns of other types.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DurationSecondArray, GenericListArray, MapArray, OffsetSizeTrait, RecordBatch, Scalar,
    StringBuilder, StructArray, make_array, new_null_array,
};
use arrow::buffer::OffsetBuffer;
use arrow::compute::kernels::numeric::sub;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options, concat};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, SchemaRef, TimeUnit};
use arrow::util::display::array_value_to_string;

use super::cell::{Cell, CellKind};
use super::column::{Context, column};
use super::misfit::{Cause, Misfit, unexpected, unsupported};
use super::options::ArrowOptions;
use crate::arrow::{Zone, json_texts};
use tollgate_base::error::{Error, ErrorKind, Result};

/// Values that do not fit are errors of the kernels, never nulls.
const STRICT: CastOptions<'static> =
    CastOptions { safe: false, format_options: arrow::util::display::FormatOptions::new() };

pub(super) fn columns(
    batch: &RecordBatch,
    schema: &SchemaRef,
    options: &ArrowOptions,
    misfits: &mut Vec<Misfit>,
) -> Result<Vec<ArrayRef>> {
    let given = batch.schema_ref();
    // Of columns with one name the last one counts.
    let places: HashMap<&str, usize> = given.fields().iter().map(|field| &**field.name()).zip(0..).collect();
    let mut arrays = Vec::with_capacity(schema.fields().len());
    for (index, field) in (0..).zip(schema.fields()) {
        let mut note = |row: usize, cause| misfits.push(Misfit { row: row as u32, column: index, cause });
        let array = match places.get(&**field.name()) {
            None => new_null_array(field.data_type(), batch.num_rows()),
            Some(place) => {
                let conversion = Conversion { from: given.field(*place), to: field, options };
                conversion.apply(batch.column(*place), &mut |row| note(row, Cause::Type))?
            }
        };
        if !field.is_nullable()
            && let Some(nulls) = array.logical_nulls()
        {
            (0..nulls.len()).filter(|row| nulls.is_null(*row)).for_each(|row| note(row, Cause::Null));
        }
        arrays.push(array);
    }
    Ok(arrays)
}

/// From one field to another.
struct Conversion<'a> {
    from: &'a Field,
    to: &'a Field,
    options: &'a ArrowOptions,
}

impl Conversion<'_> {
    /// Converts an array. Where that fails, values that do not fit are searched for by halves, and are null.
    fn apply(&self, values: &ArrayRef, note: &mut dyn FnMut(usize)) -> Result<ArrayRef> {
        let mut pieces = Vec::new();
        self.add_pieces(values, 0, note, &mut pieces)?;
        match &*pieces {
            [whole] => Ok(Arc::clone(whole)),
            pieces => concat(&pieces.iter().map(|piece| &**piece).collect::<Vec<_>>()).map_err(unexpected),
        }
    }

    fn add_pieces(
        &self,
        values: &ArrayRef,
        first: usize,
        note: &mut dyn FnMut(usize),
        pieces: &mut Vec<ArrayRef>,
    ) -> Result<()> {
        match convert(values, self.from, self.to, self.options) {
            Ok(piece) => pieces.push(piece),
            Err(error) if error.kind() != ErrorKind::Data => return Err(error),
            // Without values it is the types that do not fit.
            Err(_) if values.is_empty() => return Err(unsupported(self.to)),
            Err(_) if values.len() == 1 => {
                note(first);
                pieces.push(new_null_array(self.to.data_type(), 1));
            }
            Err(_) => {
                let half = values.len() / 2;
                self.add_pieces(&values.slice(0, half), first, note, pieces)?;
                self.add_pieces(&values.slice(half, values.len() - half), first + half, note, pieces)?;
            }
        }
        Ok(())
    }
}

/// What [`Conversion::apply`] looks for row by row.
fn misfit() -> Error {
    Error::data("a value does not fit its type")
}

/// All values as those of another field.
///
/// # Errors
/// `Data` where one of them does not fit, `Unsupported` where none can.
fn convert(values: &ArrayRef, from: &Field, to: &Field, options: &ArrowOptions) -> Result<ArrayRef> {
    let inside = |array: &ArrayRef, from: &Field, to: &Field| convert(array, from, to, options);
    match (values.data_type(), to.data_type()) {
        (given, wanted) if given == wanted => Ok(Arc::clone(values)),
        (DataType::Null, wanted) => Ok(new_null_array(wanted, values.len())),
        (DataType::Dictionary(_, kind), _) => {
            let values = cast_strictly(values, kind)?;
            inside(&values, &from.clone().with_data_type((**kind).clone()), to)
        }
        (DataType::RunEndEncoded(_, kind), _) => {
            let values = cast_strictly(values, kind.data_type())?;
            inside(&values, &from.clone().with_data_type(kind.data_type().clone()), to)
        }
        (_, DataType::Dictionary(_, kind)) => {
            let values = inside(values, from, &to.clone().with_data_type((**kind).clone()))?;
            cast_strictly(&values, to.data_type())
        }
        (given, wanted) if wanted.is_string() => {
            let texts = if given.is_string() { Arc::clone(values) } else { texts(from, values, options)? };
            cast_strictly(&texts, wanted)
        }
        (given, wanted) if given.is_string() && (wanted.is_primitive() || *wanted == DataType::Boolean) => {
            of_texts(values, to, options)
        }
        (DataType::Timestamp(_, given), DataType::Timestamp(unit, wanted)) => {
            let moment = (given.as_deref(), wanted.as_deref());
            of_timestamps(values, moment, *unit, to)
        }
        (DataType::Timestamp(unit, Some(zone)), wanted)
            if wanted.is_temporal() && Zone::of(Some(zone)) == Zone::Fixed(0) =>
        {
            inside(&retyped(values, DataType::Timestamp(*unit, None))?, from, to)
        }
        (given, DataType::Timestamp(unit, Some(_))) if given.is_temporal() => {
            let naive = to.clone().with_data_type(DataType::Timestamp(*unit, None));
            inside(&inside(values, from, &naive)?, &naive, to)
        }
        (DataType::Struct(given), DataType::Struct(wanted)) => {
            let array = values.as_struct();
            let members = wanted.iter().map(|to| match given.iter().rposition(|from| from.name() == to.name()) {
                Some(place) => inside(array.column(place), &given[place], to),
                None => Ok(new_null_array(to.data_type(), values.len())),
            });
            struct_of(wanted, members.collect::<Result<_>>()?, array)
        }
        (given, DataType::List(item)) if is_list(given) => list_of::<i32>(values, item, options),
        (given, DataType::LargeList(item)) if is_list(given) => list_of::<i64>(values, item, options),
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => map_of(values, entries, *sorted, options),
        (given, wanted) if given.is_nested() || wanted.is_nested() => Err(unsupported(to)),
        _ => of_scalars(values, to),
    }
}

fn cast_strictly(values: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
    cast_with_options(values, wanted, &STRICT).map_err(|_| misfit())
}

fn of_scalars(values: &ArrayRef, to: &Field) -> Result<ArrayRef> {
    let (given, wanted) = (values.data_type(), to.data_type());
    if !can_cast_types(given, wanted) {
        return Err(unsupported(to));
    }
    let array = cast_strictly(values, wanted)?;
    // The kernels cut digits off: 1.5 becomes 1, and microseconds become seconds.
    let whole = if wanted.is_floating() {
        same_finite(values, &array)?
    } else {
        (given.is_integer() && wanted.is_integer()) || cast_strictly(&array, given)?.as_ref() == values.as_ref()
    };
    if whole { Ok(array) } else { Err(misfit()) }
}

/// Timestamps of another unit or zone. The kernels know no zones by name, and need none: a timestamp with a zone is an
/// instant, and one without is taken as the field's own time, as a text is.
fn of_timestamps(
    values: &ArrayRef,
    (given, wanted): (Option<&str>, Option<&str>),
    unit: TimeUnit,
    to: &Field,
) -> Result<ArrayRef> {
    let DataType::Timestamp(given_unit, _) = values.data_type() else { return Err(misfit()) };
    let naive = retyped(values, DataType::Timestamp(*given_unit, None))?;
    let naive = of_scalars(&naive, &to.clone().with_data_type(DataType::Timestamp(unit, None)))?;
    let naive = match (given, Zone::of(wanted)) {
        (Some(_), _) | (None, Zone::Naive | Zone::Fixed(0)) => naive,
        (None, Zone::Fixed(offset)) => {
            let seconds: ArrayRef = Arc::new(DurationSecondArray::from(vec![i64::from(offset)]));
            let offset = cast_strictly(&seconds, &DataType::Duration(unit))?;
            sub(&naive, &Scalar::new(offset)).map_err(|_| misfit())?
        }
        (None, Zone::Named(_)) => return Err(unsupported(to)),
    };
    retyped(&naive, to.data_type().clone())
}

/// The same values with a type that is stored in the same way.
fn retyped(values: &ArrayRef, kind: DataType) -> Result<ArrayRef> {
    let data = values.to_data().into_builder().data_type(kind).build();
    data.map(make_array).map_err(unexpected)
}

/// Whether no number became infinite.
fn same_finite(values: &ArrayRef, array: &ArrayRef) -> Result<bool> {
    let (before, after) = (cast_strictly(values, &DataType::Float64)?, cast_strictly(array, &DataType::Float64)?);
    let mut pairs = before.as_primitive::<Float64Type>().iter().zip(after.as_primitive::<Float64Type>());
    Ok(pairs.all(|(before, after)| before.is_some_and(f64::is_finite) == after.is_some_and(f64::is_finite)))
}

/// The texts of values: those of records, without the quotes and escapes of JSON.
fn texts(field: &Field, values: &ArrayRef, options: &ArrowOptions) -> Result<ArrayRef> {
    let json = json_texts(field, values, options.parquet)?;
    let mut texts = StringBuilder::with_capacity(json.len(), json.values().len());
    for row in 0..json.len() {
        if json.is_null(row) {
            texts.append_null();
            continue;
        }
        let text = json.value(row);
        if text == "null" {
            // NaN and the infinities, which JSON has no text for.
            texts.append_value(array_value_to_string(values, row).map_err(unexpected)?);
        } else if text.starts_with('"') {
            let cell = Cell { text, row: 0, kind: CellKind::String };
            texts.append_value(cell.string().ok_or_else(misfit)?);
        } else {
            texts.append_value(text);
        }
    }
    Ok(Arc::new(texts.finish()))
}

/// Texts as values of another type, read as those of CSV are: the kernels would cut digits off.
fn of_texts(values: &ArrayRef, to: &Field, options: &ArrowOptions) -> Result<ArrayRef> {
    let texts = cast_strictly(values, &DataType::Utf8)?;
    let texts = texts.as_string::<i32>();
    let cell = |text: Option<_>| text.map_or(Cell::null(0), |text| Cell { text, row: 0, kind: CellKind::Text });
    let cells: Vec<Cell<'_>> = texts.iter().map(cell).collect();
    let mut misfits = Vec::new();
    let array = column(&cells, to, &mut Context { column: 0, csv: &options.csv, misfits: &mut misfits })?;
    if misfits.iter().any(|misfit| misfit.cause == Cause::Type) { Err(misfit()) } else { Ok(array) }
}

fn struct_of(members: &Fields, arrays: Vec<ArrayRef>, array: &StructArray) -> Result<ArrayRef> {
    let made = StructArray::try_new_with_length(members.clone(), arrays, array.nulls().cloned(), array.len());
    made.map(|made| Arc::new(made) as ArrayRef).map_err(|_| misfit())
}

fn is_list(kind: &DataType) -> bool {
    item_of(kind).is_some()
}

fn item_of(kind: &DataType) -> Option<&FieldRef> {
    match kind {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => Some(item),
        _ => None,
    }
}

/// A list with items of another type.
fn list_of<O: OffsetSizeTrait>(values: &ArrayRef, item: &FieldRef, options: &ArrowOptions) -> Result<ArrayRef> {
    let given = item_of(values.data_type()).ok_or_else(misfit)?;
    let list = cast_strictly(values, &GenericListArray::<O>::DATA_TYPE_CONSTRUCTOR(Arc::clone(given)))?;
    let list = list.as_list::<O>();
    let (offsets, items) = (own_offsets(list.offsets()), own_items(list.offsets(), list.values()));
    let items = convert(&items, given, item, options)?;
    let made = GenericListArray::try_new(Arc::clone(item), offsets, items, list.nulls().cloned());
    made.map(|made| Arc::new(made) as ArrayRef).map_err(|_| misfit())
}

/// The offsets of a slice, from 0 on.
fn own_offsets<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>) -> OffsetBuffer<O> {
    OffsetBuffer::from_lengths(offsets.lengths())
}

/// The items of a slice. Those of other rows must not decide whether it fits.
fn own_items<O: OffsetSizeTrait>(offsets: &OffsetBuffer<O>, items: &ArrayRef) -> ArrayRef {
    let (first, end) = (offsets[0].as_usize(), offsets[offsets.len() - 1].as_usize());
    items.slice(first, end - first)
}

fn map_of(values: &ArrayRef, entries: &FieldRef, sorted: bool, options: &ArrowOptions) -> Result<ArrayRef> {
    let DataType::Struct(parts) = entries.data_type() else { return Err(unsupported(entries)) };
    let [key, value] = &**parts else { return Err(unsupported(entries)) };
    let map = values.as_map();
    let (given_key, given_value) = map.entries_fields();
    let keys = convert(&own_items(map.offsets(), map.keys()), given_key, key, options)?;
    let items = convert(&own_items(map.offsets(), map.values()), given_value, value, options)?;
    let pairs = StructArray::try_new(parts.clone(), vec![keys, items], None).map_err(|_| misfit())?;
    let made = MapArray::try_new(Arc::clone(entries), own_offsets(map.offsets()), pairs, map.nulls().cloned(), sorted);
    made.map(|made| Arc::new(made) as ArrayRef).map_err(|_| misfit())
}
