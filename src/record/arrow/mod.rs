//! Record batches → RECORD lines.
//!
//! A top-level null is left out, a nested one is written; the texts of values are those of Airbyte's file-based
//! connectors (`time_text`, `number_text`), with these differences where they end a run: decimals and binary inside
//! of lists and structs have the same text as outside, and maps inside of them are objects too.

mod column;
mod time_text;
mod zone;

use arrow::array::{RecordBatch, new_empty_array};
use arrow::datatypes::{Field, SchemaRef};

use self::column::{Bad, Column};
use super::conform::{Validation, arrow_conforms, listed_type, stopped};
use super::json_string::write_key;
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
}

/// A column that is written.
#[derive(Debug)]
struct Member {
    /// The column's index in the batch.
    index: usize,
    /// `"name":`
    key: Vec<u8>,
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
        for (index, field) in schema.fields().iter().enumerate().filter(|(_, field)| !added(field.name())) {
            let Some(kind) = listed_type(columns, field.name()) else {
                unlisted = true;
                continue;
            };
            let empty = new_empty_array(field.data_type());
            Column::new(&empty, decimal_as_float).map_err(|_| refused(field))?;
            let mut key = Vec::new();
            write_key(field.name(), &mut key);
            let conforms = arrow_conforms(field.data_type(), decimal_as_float, kind);
            members.push(Member { index, key, conforms });
        }
        Ok(Self { schema: schema.clone(), members, decimal_as_float, validation: options.validation, unlisted })
    }

    /// Whether a row of a bound batch is what the catalog says.
    fn conforms(&self, columns: &[(&[u8], Column<'_>)], row: usize) -> bool {
        let mut members = self.members.iter().zip(columns);
        !self.unlisted && members.all(|(member, (_, column))| member.conforms || column.null(row))
    }

    /// Appends a line per row to `out`. Returns the number of lines.
    ///
    /// # Errors
    /// [`ErrorKind::Data`] with the column and `batch_row`, the row's index in this batch. `out` then ends with the
    /// line of the row before it.
    pub(super) fn encode(&mut self, batch: &RecordBatch, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<u64> {
        let columns = self.bind(batch)?;
        let mut written = 0;
        for row in 0..batch.num_rows() {
            if self.validation.looks() && !self.conforms(&columns, row) {
                if self.validation == Validation::Stop {
                    return Err(stopped(row as u64 + 1));
                }
                continue;
            }
            let start = out.len();
            out.extend_from_slice(frame.prefix);
            for (key, column) in &columns {
                if column.null(row) {
                    continue;
                }
                out.extend_from_slice(key);
                if let Err(bad) = column.write(row, out) {
                    out.truncate(start);
                    return Err(bad_value(bad, key, row));
                }
                out.push(b',');
            }
            frame.end(out);
            written += 1;
        }
        Ok(written)
    }

    /// Whether batches of this schema can be encoded.
    pub(super) fn fits(&self, schema: &SchemaRef) -> bool {
        std::sync::Arc::ptr_eq(&self.schema, schema) || self.schema == *schema
    }

    fn bind<'a>(&'a self, batch: &'a RecordBatch) -> Result<Vec<(&'a [u8], Column<'a>)>> {
        if batch.num_columns() != self.schema.fields().len() {
            return Err(Error::internal("a batch has other columns than its encoder")
                .with("columns", batch.num_columns())
                .with("expected_columns", self.schema.fields().len()));
        }
        let members = self.members.iter().map(|member| {
            let column = Column::new(batch.column(member.index), self.decimal_as_float)
                .map_err(|_| refused(self.schema.field(member.index)))?;
            Ok((member.key.as_slice(), column))
        });
        members.collect()
    }
}

fn refused(field: &Field) -> Error {
    Error::new(ErrorKind::Unsupported, "the type of a column has no JSON form")
        .with("column", field.name())
        .with("type", field.data_type())
        .hint("leave the column out of the stream's catalog")
}

fn bad_value(bad: Bad, key: &[u8], row: usize) -> Error {
    let name = String::from_utf8_lossy(&key[1..key.len() - 2]);
    Error::data(bad.message()).with("column", name).with("batch_row", row)
}
