//! One column of a batch, ready to be written value by value: the type is looked at once per batch.

use std::ops::Range;

use arrow::array::{Array, ArrowPrimitiveType, AsArray, GenericByteArray, GenericByteViewArray, RunArray};
use arrow::array::{FixedSizeBinaryArray, StructArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::*;

use super::line::{Key, Line};
use super::time_text::{write_date, write_time, write_timestamp};
use super::zone::Zone;
use crate::number_text::{DecimalForm, write_decimal128, write_decimal256};
use tollgate_base::bytes_text::{write_base64, write_hex};
use tollgate_base::error::Error;
use tollgate_base::options::{BinaryEncoding, ParquetOptions};

/// A column of a batch.
#[derive(Debug)]
pub(super) struct Column<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

/// A value that has no JSON form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bad {
    /// Bytes that are not UTF-8.
    Utf8,
    /// A time of day that is not within a day.
    Time,
    /// A map whose key is a list, a struct or a map.
    MapKey,
}

impl Bad {
    /// The error for a value.
    pub(super) fn error(self) -> Error {
        let error = Error::data(self.message());
        match self {
            Self::Utf8 => error.hint("set the format's `binary_encoding` to base64 or hex"),
            Self::Time | Self::MapKey => error,
        }
    }

    /// The message of the error.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::Utf8 => "a binary value is not UTF-8 text",
            Self::Time => "a time of day is out of range",
            Self::MapKey => "a map has keys that are lists, maps or structs",
        }
    }
}

/// A type without a JSON form.
#[derive(Debug)]
pub(super) struct Refused;

type Half = <Float16Type as ArrowPrimitiveType>::Native;

#[derive(Debug)]
enum Values<'a> {
    Null,
    Boolean(&'a BooleanBuffer),
    Int8(&'a [i8]),
    Int16(&'a [i16]),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt8(&'a [u8]),
    UInt16(&'a [u16]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Float16(&'a [Half]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Decimal32(&'a [i32], DecimalForm),
    Decimal64(&'a [i64], DecimalForm),
    Decimal128(&'a [i128], DecimalForm),
    Decimal256(&'a [i256], DecimalForm),
    Date32(&'a [i32]),
    Date64(&'a [i64]),
    Time32(&'a [i32], TimeUnit),
    Time64(&'a [i64], TimeUnit),
    Timestamp(&'a [i64], TimeUnit, Zone),
    Duration(&'a [i64]),
    Utf8(&'a GenericByteArray<Utf8Type>),
    LargeUtf8(&'a GenericByteArray<LargeUtf8Type>),
    Utf8View(&'a GenericByteViewArray<StringViewType>),
    Binary(&'a GenericByteArray<BinaryType>, BytesForm),
    LargeBinary(&'a GenericByteArray<LargeBinaryType>, BytesForm),
    BinaryView(&'a GenericByteViewArray<BinaryViewType>, BytesForm),
    FixedBinary(&'a FixedSizeBinaryArray, BytesForm),
    List(Rows<'a>, Box<Column<'a>>),
    Struct(Vec<(Key, Column<'a>)>),
    Map(Rows<'a>, Box<(Column<'a>, Column<'a>)>),
    /// Dictionaries and run ends: where the value of each row is.
    Indirect(Vec<usize>, Box<Column<'a>>),
}

/// Which items belong to a row of a list or map.
#[derive(Debug)]
enum Rows<'a> {
    Offsets(&'a [i32]),
    LargeOffsets(&'a [i64]),
    Fixed(usize),
    Views(&'a [i32], &'a [i32]),
    LargeViews(&'a [i64], &'a [i64]),
}

impl Rows<'_> {
    fn of(&self, row: usize) -> Range<usize> {
        match self {
            Self::Offsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Self::LargeOffsets(offsets) => offsets[row] as usize..offsets[row + 1] as usize,
            Self::Fixed(length) => row * length..(row + 1) * length,
            Self::Views(offsets, sizes) => offsets[row] as usize..offsets[row] as usize + sizes[row] as usize,
            Self::LargeViews(offsets, sizes) => offsets[row] as usize..offsets[row] as usize + sizes[row] as usize,
        }
    }
}

/// The values of an array of a primitive type.
fn slice<T: ArrowPrimitiveType>(array: &dyn Array) -> &[T::Native] {
    array.as_primitive::<T>().values()
}

impl<'a> Column<'a> {
    /// Looks at an array's type.
    pub(super) fn new(field: &Field, array: &'a dyn Array, options: ParquetOptions) -> Result<Self, Refused> {
        Ok(Self { nulls: array.nulls(), values: Values::new(field, array, options)? })
    }

    /// Whether the value of a row is null.
    #[inline]
    pub(super) fn null(&self, row: usize) -> bool {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return true;
        }
        match &self.values {
            Values::Null => true,
            Values::Indirect(indices, values) => values.null(indices[row]),
            _ => false,
        }
    }

    /// Writes the value of a row, which is not null.
    #[inline]
    pub(super) fn write(&self, row: usize, line: &mut Line) -> Result<(), Bad> {
        match &self.values {
            Values::Null => line.array(*b"null"),
            Values::Boolean(values) => write_boolean(values.value(row), line),
            Values::Int8(values) => write_integer(values[row], line),
            Values::Int16(values) => write_integer(values[row], line),
            Values::Int32(values) => write_integer(values[row], line),
            Values::Int64(values) => write_integer(values[row], line),
            Values::UInt8(values) => write_integer(values[row], line),
            Values::UInt16(values) => write_integer(values[row], line),
            Values::UInt32(values) => write_integer(values[row], line),
            Values::UInt64(values) => write_integer(values[row], line),
            Values::Float16(values) => write_double(values[row].to_f64(), line),
            Values::Float32(values) => write_double(f64::from(values[row]), line),
            Values::Float64(values) => write_double(values[row], line),
            Values::Decimal32(values, form) => line.with(|text| write_decimal128(values[row].into(), *form, text)),
            Values::Decimal64(values, form) => line.with(|text| write_decimal128(values[row].into(), *form, text)),
            Values::Decimal128(values, form) => line.with(|text| write_decimal128(values[row], *form, text)),
            Values::Decimal256(values, form) => line.with(|text| write_decimal256(values[row], *form, text)),
            Values::Date32(values) => write_date(values[row].into(), line),
            Values::Date64(values) => write_date(values[row].div_euclid(86_400_000), line),
            Values::Time32(values, unit) => return write_time(values[row].into(), *unit, line).ok_or(Bad::Time),
            Values::Time64(values, unit) => return write_time(values[row], *unit, line).ok_or(Bad::Time),
            Values::Timestamp(values, unit, zone) => write_timestamp(values[row], *unit, zone, line),
            Values::Duration(values) => write_double(values[row] as f64, line),
            Values::Utf8(values) => line.string(values.value(row)),
            Values::LargeUtf8(values) => line.string(values.value(row)),
            Values::Utf8View(values) => line.string(values.value(row)),
            Values::Binary(values, form) => return form.write(values.value(row), line),
            Values::LargeBinary(values, form) => return form.write(values.value(row), line),
            Values::BinaryView(values, form) => return form.write(values.value(row), line),
            Values::FixedBinary(values, form) => return form.write(values.value(row), line),
            Values::List(rows, items) => return write_list(rows.of(row), items, line),
            Values::Struct(fields) => return write_struct(fields, row, line),
            Values::Map(rows, entries) => return write_map(rows.of(row), entries, line),
            Values::Indirect(indices, values) => return values.write(indices[row], line),
        }
        Ok(())
    }

    /// Writes the value of a row, or `null`: nested nulls are kept.
    fn write_nested(&self, row: usize, line: &mut Line) -> Result<(), Bad> {
        if self.null(row) {
            line.array(*b"null");
            return Ok(());
        }
        self.write(row, line)
    }
}

impl<'a> Values<'a> {
    fn new(field: &Field, array: &'a dyn Array, options: ParquetOptions) -> Result<Self, Refused> {
        let form = |scale: &i8| DecimalForm { scale: *scale, as_float: options.decimal_as_float };
        let bytes = BytesForm::of(field, options.binary_encoding);
        let nested = |field: &Field, array: &'a dyn Array| Column::new(field, array, options).map(Box::new);
        // The field's type tells what its parts are; that of the values only what they are stored as.
        let kind =
            if field.data_type().equals_datatype(array.data_type()) { field.data_type() } else { array.data_type() };
        Ok(match kind {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Boolean(array.as_boolean().values()),
            DataType::Int8 => Self::Int8(slice::<Int8Type>(array)),
            DataType::Int16 => Self::Int16(slice::<Int16Type>(array)),
            DataType::Int32 => Self::Int32(slice::<Int32Type>(array)),
            DataType::Int64 => Self::Int64(slice::<Int64Type>(array)),
            DataType::UInt8 => Self::UInt8(slice::<UInt8Type>(array)),
            DataType::UInt16 => Self::UInt16(slice::<UInt16Type>(array)),
            DataType::UInt32 => Self::UInt32(slice::<UInt32Type>(array)),
            DataType::UInt64 => Self::UInt64(slice::<UInt64Type>(array)),
            DataType::Float16 => Self::Float16(slice::<Float16Type>(array)),
            DataType::Float32 => Self::Float32(slice::<Float32Type>(array)),
            DataType::Float64 => Self::Float64(slice::<Float64Type>(array)),
            DataType::Decimal32(_, scale) => Self::Decimal32(slice::<Decimal32Type>(array), form(scale)),
            DataType::Decimal64(_, scale) => Self::Decimal64(slice::<Decimal64Type>(array), form(scale)),
            DataType::Decimal128(_, scale) => Self::Decimal128(slice::<Decimal128Type>(array), form(scale)),
            DataType::Decimal256(_, scale) => Self::Decimal256(slice::<Decimal256Type>(array), form(scale)),
            DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => Self::of_calendar(array),
            DataType::Timestamp(_, _) | DataType::Duration(_) => Self::of_instants(array),
            DataType::Utf8 => Self::Utf8(array.as_string()),
            DataType::LargeUtf8 => Self::LargeUtf8(array.as_string()),
            DataType::Utf8View => Self::Utf8View(array.as_string_view()),
            DataType::Binary => Self::Binary(array.as_binary(), bytes),
            DataType::LargeBinary => Self::LargeBinary(array.as_binary(), bytes),
            DataType::BinaryView => Self::BinaryView(array.as_binary_view(), bytes),
            DataType::FixedSizeBinary(_) => Self::FixedBinary(array.as_fixed_size_binary(), bytes),
            DataType::List(item) => {
                let list = array.as_list::<i32>();
                Self::List(Rows::Offsets(list.offsets()), nested(item, list.values())?)
            }
            DataType::LargeList(item) => {
                let list = array.as_list::<i64>();
                Self::List(Rows::LargeOffsets(list.offsets()), nested(item, list.values())?)
            }
            DataType::FixedSizeList(item, _) => {
                let list = array.as_fixed_size_list();
                Self::List(Rows::Fixed(list.value_length() as usize), nested(item, list.values())?)
            }
            DataType::ListView(item) => {
                let list = array.as_list_view::<i32>();
                Self::List(Rows::Views(list.offsets(), list.sizes()), nested(item, list.values())?)
            }
            DataType::LargeListView(item) => {
                let list = array.as_list_view::<i64>();
                Self::List(Rows::LargeViews(list.offsets(), list.sizes()), nested(item, list.values())?)
            }
            DataType::Struct(fields) => Self::of_struct(fields, array.as_struct(), options)?,
            DataType::Map(_, _) => {
                let map = array.as_map();
                let (key, value) = map.entries_fields();
                let entries = (Column::new(key, map.keys(), options)?, Column::new(value, map.values(), options)?);
                Self::Map(Rows::Offsets(map.offsets()), Box::new(entries))
            }
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                let values = dictionary.values();
                // Without values all rows are null, and their indices are never looked at.
                let indices = if values.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
                Self::Indirect(indices, nested(field, values)?)
            }
            DataType::RunEndEncoded(ends, _) => match ends.data_type() {
                DataType::Int16 => Self::of_runs(field, array.as_run::<Int16Type>(), options)?,
                DataType::Int32 => Self::of_runs(field, array.as_run::<Int32Type>(), options)?,
                _ => Self::of_runs(field, array.as_run::<Int64Type>(), options)?,
            },
            DataType::Interval(_) | DataType::Union(_, _) => return Err(Refused),
        })
    }

    fn of_calendar(array: &'a dyn Array) -> Self {
        match array.data_type() {
            DataType::Date32 => Self::Date32(slice::<Date32Type>(array)),
            DataType::Date64 => Self::Date64(slice::<Date64Type>(array)),
            DataType::Time32(TimeUnit::Second) => Self::Time32(slice::<Time32SecondType>(array), TimeUnit::Second),
            DataType::Time32(unit) => Self::Time32(slice::<Time32MillisecondType>(array), *unit),
            DataType::Time64(TimeUnit::Microsecond) => {
                Self::Time64(slice::<Time64MicrosecondType>(array), TimeUnit::Microsecond)
            }
            _ => Self::Time64(slice::<Time64NanosecondType>(array), TimeUnit::Nanosecond),
        }
    }

    fn of_instants(array: &'a dyn Array) -> Self {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        let values = match array.data_type() {
            DataType::Timestamp(Second, _) => slice::<TimestampSecondType>(array),
            DataType::Timestamp(Millisecond, _) => slice::<TimestampMillisecondType>(array),
            DataType::Timestamp(Microsecond, _) => slice::<TimestampMicrosecondType>(array),
            DataType::Timestamp(Nanosecond, _) => slice::<TimestampNanosecondType>(array),
            DataType::Duration(Second) => slice::<DurationSecondType>(array),
            DataType::Duration(Millisecond) => slice::<DurationMillisecondType>(array),
            DataType::Duration(Microsecond) => slice::<DurationMicrosecondType>(array),
            _ => slice::<DurationNanosecondType>(array),
        };
        match array.data_type() {
            DataType::Timestamp(unit, zone) => Self::Timestamp(values, *unit, Zone::of(zone.as_deref())),
            _ => Self::Duration(values),
        }
    }

    fn of_struct(fields: &Fields, array: &'a StructArray, options: ParquetOptions) -> Result<Self, Refused> {
        let columns = fields
            .iter()
            .zip(array.columns())
            .map(|(field, values)| Ok((Key::new(field.name()), Column::new(field, values, options)?)));
        columns.collect::<Result<_, Refused>>().map(Self::Struct)
    }

    fn of_runs<R: RunEndIndexType>(
        field: &Field,
        array: &'a RunArray<R>,
        options: ParquetOptions,
    ) -> Result<Self, Refused> {
        let indices = (0..array.len()).map(|row| array.get_physical_index(row)).collect();
        Ok(Self::Indirect(indices, Box::new(Column::new(field, array.values(), options)?)))
    }
}

#[inline(always)]
fn write_boolean(value: bool, line: &mut Line) {
    if value { line.array(*b"true") } else { line.array(*b"false") }
}

#[inline(always)]
fn write_integer(value: impl itoa::Integer, line: &mut Line) {
    line.put(itoa::Buffer::new().format(value).as_bytes());
}

/// As `number_text::write_double`.
#[inline(always)]
fn write_double(value: f64, line: &mut Line) {
    if value.is_finite() {
        line.put(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        write_not_finite(line);
    }
}

#[cold]
fn write_not_finite(line: &mut Line) {
    line.not_finite += 1;
    line.array(*b"null");
}

/// The name of the Arrow type of UUIDs, and the key that it stands under in a field's metadata.
const UUID: (&str, &str) = ("ARROW:extension:name", "arrow.uuid");

/// The text of the binary values of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BytesForm {
    Utf8,
    Base64,
    Hex,
    /// `00112233-4455-6677-8899-aabbccddeeff`
    Uuid,
}

impl BytesForm {
    fn of(field: &Field, encoding: BinaryEncoding) -> Self {
        let uuid = || field.metadata().get(UUID.0).is_some_and(|name| name == UUID.1);
        match encoding {
            BinaryEncoding::Utf8 => Self::Utf8,
            BinaryEncoding::Base64 | BinaryEncoding::Hex if uuid() => Self::Uuid,
            BinaryEncoding::Base64 => Self::Base64,
            BinaryEncoding::Hex => Self::Hex,
        }
    }

    fn write(self, bytes: &[u8], line: &mut Line) -> Result<(), Bad> {
        match self {
            Self::Utf8 => line.string(simdutf8::basic::from_utf8(bytes).map_err(|_| Bad::Utf8)?),
            Self::Base64 => line.with(|text| write_base64(bytes, text)),
            Self::Hex => line.with(|text| write_hex(bytes, false, text)),
            Self::Uuid => line.with(|text| write_hex(bytes, bytes.len() == 16, text)),
        }
        Ok(())
    }
}

fn write_list(items: Range<usize>, values: &Column<'_>, line: &mut Line) -> Result<(), Bad> {
    line.byte(b'[');
    for item in items.clone() {
        if item > items.start {
            line.byte(b',');
        }
        values.write_nested(item, line)?;
    }
    line.byte(b']');
    Ok(())
}

fn write_struct(fields: &[(Key, Column<'_>)], row: usize, line: &mut Line) -> Result<(), Bad> {
    line.byte(b'{');
    for (index, (key, values)) in fields.iter().enumerate() {
        if index > 0 {
            line.byte(b',');
        }
        line.key(key);
        values.write_nested(row, line)?;
    }
    line.byte(b'}');
    Ok(())
}

fn write_map(rows: Range<usize>, entries: &(Column<'_>, Column<'_>), line: &mut Line) -> Result<(), Bad> {
    let (keys, values) = entries;
    line.byte(b'{');
    for row in rows.clone() {
        if row > rows.start {
            line.byte(b',');
        }
        let start = line.len();
        keys.write_nested(row, line)?;
        match line.byte_at(start) {
            Some(b'"') => {}
            Some(b'[' | b'{') => return Err(Bad::MapKey),
            _ => line.quote_from(start),
        }
        line.byte(b':');
        values.write_nested(row, line)?;
    }
    line.byte(b'}');
    Ok(())
}
