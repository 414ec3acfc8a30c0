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

use arrow::array::{RecordBatch, new_empty_array};
use arrow::datatypes::{Field, SchemaRef};

use self::column::{Bad, Column};
use self::line::{Key, Line};
use super::conform::{Validation, arrow_conforms, listed_type, stopped};
use super::{EncodeOptions, Frame, added};
use crate::error::{Error, ErrorKind, Result};
use crate::protocol::schema::Columns;

/// Writes the lines of record batches of one schema.
#[derive(Debug)]
pub struct ArrowEncoder {
    schema: SchemaRef,
    members: Vec<Member>,
    decimal_as_float: bool,
    validation: Validation,
    /// Whether the file has columns that the catalog does not have.
    unlisted: bool,
    line: Line,
}

/// A column that is written.
#[derive(Debug)]
struct Member {
    /// The column's index in the batch.
    index: usize,
    key: Key,
    /// Whether its values, nulls aside, conform to the catalog's column.
    conforms: bool,
}

impl ArrowEncoder {
    /// An encoder of the columns of `schema` that `columns` lists, in the schema's order. Types are taken as they
    /// are: nothing is cast to the catalog's type.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] with the name of a column whose type has no JSON form (intervals, unions).
    pub fn new(schema: &SchemaRef, columns: &Columns, options: &EncodeOptions) -> Result<Self> {
        let decimal_as_float = options.decimal_as_float;
        let mut members = Vec::new();
        let mut unlisted = false;
        for (index, field) in schema.fields().iter().enumerate() {
            // Inside of a member of its own, a column cannot collide with the added ones.
            if added(field.name()) && !options.schemaless {
                continue;
            }
            let Some(kind) = listed_type(columns, field.name()) else {
                unlisted = true;
                continue;
            };
            let empty = new_empty_array(field.data_type());
            Column::new(&empty, decimal_as_float).map_err(|_| refused(field))?;
            let conforms = arrow_conforms(field.data_type(), decimal_as_float, kind);
            members.push(Member { index, key: Key::new(field.name()), conforms });
        }
        let (schema, validation) = (schema.clone(), options.validation);
        Ok(Self { schema, members, decimal_as_float, validation, unlisted, line: Line::new() })
    }

    /// Appends a line per row to `out`. Returns the number of lines.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] with the column and `batch_row`, the row's index in this batch. `out` then ends with the
    /// line of the row before it.
    pub(super) fn encode(&mut self, batch: &RecordBatch, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<u64> {
        let columns = bind(&self.schema, &self.members, batch, self.decimal_as_float)?;
        let line = &mut self.line;
        line.truncate(0);
        let mut written = 0;
        for row in 0..batch.num_rows() {
            if self.validation.looks() && (self.unlisted || !conforms(&self.members, &columns, row)) {
                if self.validation == Validation::Stop {
                    line.move_to(out);
                    return Err(stopped(row as u64 + 1));
                }
                continue;
            }
            let start = line.len();
            if let Err((bad, index)) = encode_row(&columns, row, frame, line) {
                line.truncate(start);
                line.move_to(out);
                let name = self.schema.field(self.members[index].index).name();
                return Err(Error::data(bad.message()).with("column", name).with("batch_row", row));
            }
            line.end_line(out);
            written += 1;
        }
        line.move_to(out);
        Ok(written)
    }

    /// Whether batches of this schema can be encoded.
    pub(super) fn fits(&self, schema: &SchemaRef) -> bool {
        std::sync::Arc::ptr_eq(&self.schema, schema) || self.schema == *schema
    }
}

/// The columns of a batch that are written, each with its key.
fn bind<'a>(
    schema: &SchemaRef,
    members: &'a [Member],
    batch: &'a RecordBatch,
    decimal_as_float: bool,
) -> Result<Vec<(&'a Key, Column<'a>)>> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::internal("a batch has other columns than its encoder")
            .with("columns", batch.num_columns())
            .with("expected_columns", schema.fields().len()));
    }
    let columns = members.iter().map(|member| {
        let column = Column::new(batch.column(member.index), decimal_as_float);
        Ok((&member.key, column.map_err(|_| refused(schema.field(member.index)))?))
    });
    columns.collect()
}

/// Whether a row of a bound batch is what the catalog says.
fn conforms(members: &[Member], columns: &[(&Key, Column<'_>)], row: usize) -> bool {
    members.iter().zip(columns).all(|(member, (_, column))| member.conforms || column.null(row))
}

/// Writes one line. The error has the index of its column.
#[inline]
fn encode_row(
    columns: &[(&Key, Column<'_>)],
    row: usize,
    frame: &Frame<'_>,
    line: &mut Line,
) -> Result<(), (Bad, usize)> {
    line.put(frame.prefix);
    let mut comma = false;
    for (index, (key, column)) in columns.iter().enumerate() {
        let null = column.null(row);
        // Where the members are an object inside of the record, its nulls are nested ones.
        if null && !frame.closes {
            continue;
        }
        line.key(key);
        if null {
            line.array(*b"null");
        } else {
            column.write(row, line).map_err(|bad| (bad, index))?;
        }
        line.byte(b',');
        comma = true;
    }
    if frame.closes && comma {
        line.truncate(line.len() - 1);
    }
    line.put(frame.suffix);
    Ok(())
}

fn refused(field: &Field) -> Error {
    Error::new(ErrorKind::Unsupported, "the type of a column has no JSON form")
        .with("column", field.name())
        .with("type", field.data_type())
        .hint("leave the column out of the stream's catalog")
}
