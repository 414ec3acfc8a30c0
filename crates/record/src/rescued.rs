//! The column of rescued data: the fields of a row that the catalog does not have as they are.

use super::line::{Line, Piece};
use tollgate_base::json_string::{write_key, write_string};
use tollgate_base::schema::RESCUED_COLUMN;

/// What was rescued of the row that is being written.
#[derive(Debug)]
pub(super) struct Rescued {
    /// Members of an object, each with a comma behind it.
    members: Vec<u8>,
    /// `"_rescued":{`
    key: Piece,
}

impl Rescued {
    pub(super) fn new() -> Self {
        let mut key = Vec::new();
        write_key(RESCUED_COLUMN, &mut key);
        key.push(b'{');
        Self { members: Vec::new(), key: Piece::new(&key) }
    }

    /// Adds a field whose value is JSON.
    pub(super) fn json(&mut self, key: &Piece, value: &[u8]) {
        self.members.extend_from_slice(key.text());
        self.members.extend_from_slice(value);
        self.members.push(b',');
    }

    /// Adds a field whose value is a text.
    #[cold]
    pub(super) fn text(&mut self, key: &Piece, value: &[u8]) {
        self.members.extend_from_slice(key.text());
        write_string(&String::from_utf8_lossy(value), &mut self.members);
        self.members.push(b',');
    }

    /// Writes the column, and is empty for the next row. Whether there was anything.
    pub(super) fn write_to(&mut self, line: &mut Line) -> bool {
        let any = self.members.pop().is_some();
        if any {
            line.piece(&self.key);
            line.copy(&self.members, 0, self.members.len());
            line.bytes(*b"},");
        }
        self.members.clear();
        any
    }
}
