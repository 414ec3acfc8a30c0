//! Values that do not fit their fields, and types that no value fits.

use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;

use tollgate_base::error::{Error, ErrorKind};

/// A value that does not fit its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Misfit {
    /// The row's index in the batch.
    pub(super) row: u32,
    /// The index of the schema's field.
    pub(super) column: u32,
    pub(super) cause: Cause,
}

/// Why a value does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is no value of the type.
    Type,
    /// It is null, and the field is never null.
    Null,
}

impl Misfit {
    /// Why, in words that are the same for all values of a column.
    pub(super) fn reason(&self, schema: &Schema) -> String {
        let field = schema.field(self.column as usize);
        match self.cause {
            Cause::Type => format!("a value of column '{}' is not of the type {}", field.name(), field.data_type()),
            Cause::Null => format!("a value of column '{}' is null, and the column takes no nulls", field.name()),
        }
    }

    /// The error that ends a file.
    #[cold]
    pub(super) fn error(&self, schema: &Schema) -> Error {
        let column = schema.field(self.column as usize).name();
        Error::data(self.reason(schema)).with("column", column).with("batch_row", self.row)
    }
}

/// The error where no value can become one of the field's type.
pub(super) fn unsupported(field: &Field) -> Error {
    Error::new(ErrorKind::Unsupported, "the values of a column cannot become values of its type")
        .with("column", field.name())
        .with("type", field.data_type())
}

/// The error where arrays that were made to fit together do not.
pub(super) fn unexpected(error: ArrowError) -> Error {
    Error::internal("columns do not make a batch").caused_by(error)
}
