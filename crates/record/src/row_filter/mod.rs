//! Rows that are left out on purpose: by the stream's filter, and by its record cursor.
//!
//! ```text
//!   batch ─▶ filter: only rows for which it is true ─▶ cursor: not those certainly below the mark ─▶ batch
//!                                                            └─ the greatest values of what is left
//! ```
//!
//! The same for all formats. Values are compared as what they are: an Arrow column by its type, a text of CSV as the
//! catalog's type of its column (a text where it has none), a member of a JSON object by its own type, where a string
//! in a column of dates or times is one. A column that a file does not have is null in all of its rows.

mod arrow;
mod json;
mod rows;
#[cfg(test)]
mod tests;
mod text;

pub use self::rows::{CursorColumn, FileRowFilter, LeftOut, RowFilter};

use tollgate_base::batch::Batch;
use tollgate_base::error::Result;

impl FileRowFilter {
    /// The batch without the rows that are not wanted.
    ///
    /// # Errors
    /// Config, where a column's type compares with nothing that the filter says.
    pub fn apply(&mut self, batch: Batch) -> Result<Batch> {
        self.row = 0;
        self.rows_left_out.clear();
        match batch {
            Batch::Arrow(batch) => arrow::apply(self, batch).map(Batch::Arrow),
            batch if self.shared.filter.is_none() && self.shared.cursor.is_none() => Ok(batch),
            Batch::Text(rows) => Ok(Batch::Text(text::apply(self, rows))),
            Batch::Json(rows) => Ok(Batch::Json(json::apply(self, rows))),
        }
    }
}
