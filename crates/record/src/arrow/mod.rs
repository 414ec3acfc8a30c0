//! Record batches → RECORD lines.
//!
//! A top-level null is left out, a nested one is written; the texts of values are those of Airbyte's file-based
//! connectors (`time_text`, `number_text`), with these differences where they end a run: decimals and binary inside
//! of lists and structs have the same text as outside, and maps inside of them are objects too.

mod column;
mod line;
#[cfg(test)]
mod tests;
mod time_text;
mod zone;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray, StringBuilder, new_empty_array};
use arrow::datatypes::{Field, SchemaRef};

use self::column::{Bad, Column};
use self::line::{Key, Line};
pub(crate) use self::zone::Zone;
use super::conform::{MismatchPolicy, TypeMismatch, arrow_conforms, listed_type};
use super::encoded::{Encoded, Refused};
use super::frame::{Added, Frame};
use super::options::{EncodeOptions, Unlisted};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::options::{OnBadRow, ParquetOptions};
use tollgate_base::schema::{ColumnType, Columns, RESCUED_COLUMN};

/// Writes the lines of record batches of one schema.
#[derive(Debug)]
pub struct ArrowEncoder {
    schema: SchemaRef,
    members: Vec<Member>,
    /// Members of the object of rescued fields.
    rescued: Vec<Member>,
    rescued_key: Key,
    options: ParquetOptions,
    unfit: MismatchPolicy,
    on_bad_row: OnBadRow,
    /// The first column of the file that the catalog does not have.
    unlisted: Option<usize>,
    line: Line,
}

/// A column that is written.
#[derive(Debug)]
struct Member {
    /// The column's index in the batch.
    index: usize,
    key: Key,
    /// The catalog's type.
    kind: Option<ColumnType>,
    /// Whether its values, nulls aside, conform to the catalog's column.
    conforms: bool,
}

impl ArrowEncoder {
    /// An encoder of the columns of `schema` that `columns` lists, in the schema's order. Types are taken as they
    /// are: nothing is cast to the catalog's type.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the name of a column whose type has no JSON form (intervals, unions).
    pub(super) fn new(schema: &SchemaRef, columns: &Columns, options: &EncodeOptions, added: &Added) -> Result<Self> {
        let (parquet, unfit, fit) = (options.parquet, options.unfit(), options.fit());
        let (mut members, mut rescued, mut unlisted) = (Vec::new(), Vec::new(), None);
        for (index, field) in schema.fields().iter().enumerate() {
            if added.has(field.name()) {
                continue;
            }
            let kind = listed_type(columns, field.name());
            let conforms =
                kind.is_some_and(|kind| arrow_conforms(fit, field.data_type(), parquet.decimal_as_float, kind));
            if kind.is_none() {
                unlisted.get_or_insert(index);
            }
            let written = if !conforms && unfit == MismatchPolicy::Rescue {
                &mut rescued
            } else if kind.is_some() || options.unlisted == Unlisted::Write {
                let empty = new_empty_array(field.data_type());
                Column::new(field, &empty, parquet).map_err(|_| refused(field))?;
                &mut members
            } else {
                continue;
            };
            written.push(Member { index, key: Key::new(field.name()), kind, conforms });
        }
        Ok(Self {
            schema: schema.clone(),
            members,
            rescued,
            rescued_key: Key::new(RESCUED_COLUMN),
            options: parquet,
            unfit,
            on_bad_row: options.on_bad_row,
            unlisted,
            line: Line::new(),
        })
    }

    /// Appends a line per row to `out`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the name of a column whose type has no JSON form: nothing was written.
    pub(super) fn encode(&mut self, batch: &RecordBatch, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<Encoded> {
        let columns = bind(&self.schema, &self.members, batch, self.options)?;
        let rescued = bind_rescued(&self.schema, &self.rescued, batch, self.options);
        let looks = self.unfit.looks() && self.unfit != MismatchPolicy::Rescue;
        let line = &mut self.line;
        line.truncate(0);
        let mut encoded = Encoded::default();
        for row in 0..batch.num_rows() {
            if looks && let Some(misfit) = misfit(&self.schema, self.unlisted, &self.members, &columns, row) {
                if encoded.unfit(self.unfit, row, &misfit, || raw(batch, row, self.options)) {
                    break;
                }
                continue;
            }
            let start = line.len();
            line.begin_line();
            let written = encode_row(&columns, row, frame, line);
            let any_rescued =
                written.is_ok() && !rescued.is_empty() && encode_rescued(&rescued, &self.rescued_key, row, line);
            if line.too_long() {
                line.truncate(start);
                encoded.stop_before_long_line(row);
                break;
            }
            encoded.rescued += u64::from(any_rescued);
            if let Err((bad, column)) = written {
                line.truncate(start);
                let name = self.schema.field(column).name();
                if self.on_bad_row == OnBadRow::Collect {
                    let reason = format!("column '{name}': {}", bad.message());
                    encoded.refused.push(Refused { row, reason, raw: raw(batch, row, self.options) });
                    continue;
                }
                encoded.stop(row, bad.error().with("column", name).with("batch_row", row));
                break;
            }
            line.put(frame.suffix);
            line.end_line(out);
            encoded.lines += 1;
        }
        line.move_to(out);
        Ok(encoded)
    }

    /// Numbers since the last call that went out as null: NaN and the infinities.
    pub(super) fn take_not_finite(&mut self) -> u64 {
        std::mem::take(&mut self.line.not_finite)
    }

    /// Whether batches of this schema can be encoded.
    pub(super) fn fits(&self, schema: &SchemaRef) -> bool {
        std::sync::Arc::ptr_eq(&self.schema, schema) || self.schema == *schema
    }
}

/// A column of a batch that is written.
struct Bound<'a> {
    /// Its index in the batch.
    index: usize,
    key: &'a Key,
    column: Column<'a>,
}

/// The columns of a batch that are written.
fn bind<'a>(
    schema: &SchemaRef,
    members: &'a [Member],
    batch: &'a RecordBatch,
    options: ParquetOptions,
) -> Result<Vec<Bound<'a>>> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::internal("the columns of a batch differ from those of its encoder")
            .with("columns", batch.num_columns())
            .with("expected_columns", schema.fields().len()));
    }
    let columns = members.iter().map(|member| {
        let field = schema.field(member.index);
        let column = Column::new(field, batch.column(member.index), options).map_err(|_| refused(field))?;
        Ok(Bound { index: member.index, key: &member.key, column })
    });
    columns.collect()
}

/// A column of a batch that goes to the column of rescued data.
struct Rescued<'a> {
    key: &'a Key,
    values: &'a ArrayRef,
    /// `None` where the type has no JSON form.
    column: Option<Column<'a>>,
}

/// The columns of a batch that are rescued. Their types and values need no JSON form: nothing may be lost there.
fn bind_rescued<'a>(
    schema: &SchemaRef,
    members: &'a [Member],
    batch: &'a RecordBatch,
    options: ParquetOptions,
) -> Vec<Rescued<'a>> {
    let rescued = members.iter().map(|member| {
        let values = batch.column(member.index);
        Rescued { key: &member.key, values, column: Column::new(schema.field(member.index), values, options).ok() }
    });
    rescued.collect()
}

impl Rescued<'_> {
    fn null(&self, row: usize) -> bool {
        self.column.as_ref().map_or_else(|| self.values.is_null(row), |column| column.null(row))
    }

    /// Writes a value, as Arrow shows it where it has no JSON form: bytes as hexadecimal digits.
    fn write(&self, row: usize, line: &mut Line) {
        write_any(self.column.as_ref(), self.values, row, line);
    }
}

fn write_any(column: Option<&Column<'_>>, values: &ArrayRef, row: usize, line: &mut Line) {
    let start = line.len();
    if column.is_none_or(|column| column.write(row, line).is_err()) {
        line.truncate(start);
        line.string(&arrow::util::display::array_value_to_string(values, row).unwrap_or_default());
    }
}

/// The first column of a row that is not what the catalog says.
fn misfit<'a>(
    schema: &'a SchemaRef,
    unlisted: Option<usize>,
    members: &[Member],
    columns: &[Bound<'_>],
    row: usize,
) -> Option<TypeMismatch<'a>> {
    let name = |index: usize| schema.field(index).name().as_str().into();
    if let Some(index) = unlisted {
        return Some(TypeMismatch { column: name(index), expected: None });
    }
    let (member, _) =
        members.iter().zip(columns).find(|(member, bound)| !member.conforms && !bound.column.null(row))?;
    Some(TypeMismatch { column: name(member.index), expected: member.kind })
}

/// A row as a JSON object; a value without a JSON form as Arrow shows it.
#[cold]
pub(super) fn raw(batch: &RecordBatch, row: usize, options: ParquetOptions) -> Vec<u8> {
    let mut line = Line::new();
    line.byte(b'{');
    for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
        if values.is_null(row) {
            continue;
        }
        line.key(&Key::new(field.name()));
        write_any(Column::new(field, values, options).ok().as_ref(), values, row, &mut line);
        line.byte(b',');
    }
    let mut object = Vec::new();
    line.move_to(&mut object);
    super::line::close(&mut object);
    object
}

/// The JSON texts of a column's values; nulls stay nulls.
///
/// # Errors
/// `Unsupported` where the type has no JSON form, `Data` where a value has none.
pub(super) fn json_texts(field: &Field, values: &ArrayRef, options: ParquetOptions) -> Result<StringArray> {
    let column = Column::new(field, values, options)
        .map_err(|_| Error::new(ErrorKind::Unsupported, "the type of a column has no JSON form"))?;
    let mut line = Line::new();
    let mut texts = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..values.len() {
        if column.null(row) {
            texts.append_null();
            continue;
        }
        column.write(row, &mut line).map_err(|bad| bad.error().with("batch_row", row))?;
        text.clear();
        line.move_to(&mut text);
        texts.append_value(String::from_utf8_lossy(&text));
    }
    Ok(texts.finish())
}

/// Writes the object of rescued fields with its key. Whether it has any.
fn encode_rescued(columns: &[Rescued<'_>], key: &Key, row: usize, line: &mut Line) -> bool {
    let mut any = false;
    for rescued in columns.iter().filter(|rescued| !rescued.null(row)) {
        if !any {
            line.key(key);
            line.byte(b'{');
        }
        any = true;
        line.key(rescued.key);
        rescued.write(row, line);
        line.byte(b',');
    }
    if any {
        line.truncate(line.len() - 1);
        line.array(*b"},");
    }
    any
}

/// Writes one line up to its suffix. The error has the index of its column.
#[inline]
fn encode_row(columns: &[Bound<'_>], row: usize, frame: &Frame<'_>, line: &mut Line) -> Result<(), (Bad, usize)> {
    line.put(frame.prefix);
    let mut comma = false;
    for Bound { index, key, column } in columns {
        let null = column.null(row);
        // Where the members are an object inside of the record, its nulls are nested ones.
        if null && !frame.added.nested {
            continue;
        }
        line.key(key);
        if null {
            line.array(*b"null");
        } else {
            column.write(row, line).map_err(|bad| (bad, *index))?;
        }
        line.byte(b',');
        comma = true;
    }
    if frame.closes && comma {
        line.truncate(line.len() - 1);
    }
    Ok(())
}

fn refused(field: &Field) -> Error {
    Error::new(ErrorKind::Unsupported, "the type of a column has no JSON form")
        .with("column", field.name())
        .with("type", field.data_type())
        .hint("remove the column from the stream's catalog")
}
