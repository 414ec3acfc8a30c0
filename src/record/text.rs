//! Text rows → lines.

use std::collections::HashSet;
use std::sync::Arc;

use super::cast::{Cast, Outcome};
use super::json_string::write_key;
use super::{EncodeOptions, FileReport, Frame, added};
use crate::batch::TextRows;
use crate::options::CsvOptions;
use crate::protocol::schema::{ColumnType, Columns};

/// Encodes the text rows of one file.
#[derive(Debug, Default)]
pub(super) struct TextEncoder {
    /// The file's columns that `members` were made for.
    columns: Arc<[Box<str>]>,
    members: Vec<Member>,
}

/// A column that is written.
#[derive(Debug)]
struct Member {
    index: usize,
    /// `"name":`
    key: Vec<u8>,
    kind: ColumnType,
    cast: Cast,
    /// Whether texts of this column can mean null.
    nullable: bool,
    misfits: u64,
}

impl TextEncoder {
    pub(super) fn encode(
        &mut self,
        rows: &TextRows,
        columns: &Columns,
        options: &EncodeOptions,
        frame: &Frame<'_>,
        out: &mut Vec<u8>,
        report: &mut FileReport,
    ) -> u64 {
        if !Arc::ptr_eq(&self.columns, &rows.columns) {
            self.columns = Arc::clone(&rows.columns);
            self.members = members(&rows.columns, columns, &options.csv);
        }
        // Decoders hand over checked text, and fields begin and end at characters.
        let text = std::str::from_utf8(&rows.data);
        for row in 0..rows.rows {
            let fields = rows.row(row);
            out.extend_from_slice(frame.prefix);
            for member in &mut self.members {
                let span = fields[member.index];
                let field = match &text {
                    Ok(text) => text.get(span.range()).unwrap_or_default().into(),
                    // Unquoting leaves odd bytes between fields; the fields themselves are whole.
                    Err(_) => String::from_utf8_lossy(span.of(&rows.data)),
                };
                member.write(&field, &options.csv, out, report);
            }
            frame.end(out);
        }
        rows.rows as u64
    }
}

impl Member {
    #[inline]
    fn write(&mut self, field: &str, options: &CsvOptions, out: &mut Vec<u8>, report: &mut FileReport) {
        let null = (self.nullable && options.null_values.iter().any(|null| null == field))
            || (self.kind == ColumnType::Null && field.is_empty());
        if null {
            return;
        }
        out.extend_from_slice(&self.key);
        if self.cast.write(field, options, out) == Outcome::Misfit {
            self.misfits += 1;
            let name = String::from_utf8_lossy(&self.key[1..self.key.len() - 2]);
            report.add_misfits(&name, self.kind, 1, field);
        }
        out.push(b',');
    }
}

/// The members of a line, in the file's order. Of columns with one name the last one is written.
fn members(names: &[Box<str>], columns: &Columns, options: &CsvOptions) -> Vec<Member> {
    let kind_of = |name: &str| match columns {
        Columns::All => Some(ColumnType::String),
        Columns::Listed(listed) => listed.iter().find(|column| column.name == name).map(|column| column.kind),
    };
    let mut seen = HashSet::new();
    let mut members: Vec<Member> = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate().rev() {
        let Some(kind) = kind_of(name).filter(|_| !added(name) && seen.insert(name)) else { continue };
        let cast = Cast::to(kind);
        let mut key = Vec::with_capacity(name.len() + 3);
        write_key(name, &mut key);
        let nullable = !options.null_values.is_empty() && (cast != Cast::String || options.strings_can_be_null);
        members.push(Member { index, key, kind, cast, nullable, misfits: 0 });
    }
    members.reverse();
    members
}
