//! Where rows end: the bytes of a block gone over without looking at what they say.

use super::schema::{Node, Schema};
use super::value::{Fault, Input, deeper};

/// Values of a row without bytes, of which an array can announce any number, at most.
const VALUES_WITHOUT_BYTES: u64 = 1 << 20;

/// Where the rows of a block end, from one of them on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// Each row's end, in the order of the rows, and the number of the first.
    Known(u64, Vec<u32>),
    /// The bytes are not those of so many rows.
    Unknown,
}

impl Ends {
    /// Those of `rows` rows of which `done` lie before `at`. They are known only where the last one ends where the block
    /// does: then it is as good as certain that no byte is missing or too many.
    pub(super) fn find(schema: &Schema, data: &[u8], at: usize, done: u64, rows: u64) -> Self {
        let mut walk = Walk::new(schema, data, at);
        let mut ends = Vec::new();
        for _ in done..rows {
            if walk.row().is_err() {
                return Self::Unknown;
            }
            ends.push(walk.at() as u32);
        }
        if walk.at() == data.len() { Self::Known(done, ends) } else { Self::Unknown }
    }

    /// Where the first `rows` rows of a block end.
    pub(super) fn nth(schema: &Schema, data: &[u8], rows: u64) -> Option<usize> {
        let mut walk = Walk::new(schema, data, 0);
        for _ in 0..rows {
            walk.row().ok()?;
        }
        Some(walk.at())
    }

    /// The end of the row that `done` others lie before.
    pub(super) fn of(&self, done: u64) -> Option<usize> {
        let Self::Known(first, ends) = self else { return None };
        ends.get(usize::try_from(done - first).ok()?).map(|end| *end as usize)
    }
}

/// A walk over rows.
struct Walk<'a> {
    schema: &'a Schema,
    input: Input<'a>,
    /// Values that may still come.
    values: u64,
}

impl<'a> Walk<'a> {
    fn new(schema: &'a Schema, data: &'a [u8], at: usize) -> Self {
        Self { schema, input: Input::new(data, at), values: data.len() as u64 + VALUES_WITHOUT_BYTES }
    }

    /// Bytes gone over so far.
    fn at(&self) -> usize {
        self.input.at()
    }

    /// Goes over a row.
    fn row(&mut self) -> Result<(), Fault> {
        let schema = self.schema;
        schema.fields().iter().try_for_each(|field| self.value(field.node, 1))
    }

    fn value(&mut self, node: usize, depth: usize) -> Result<(), Fault> {
        self.values = self.values.checked_sub(1).ok_or("it has more values than bytes")?;
        let schema = self.schema;
        match schema.node(node) {
            Node::Null => {}
            Node::Boolean => self.take(1)?,
            Node::Float => self.take(4)?,
            Node::Double => self.take(8)?,
            Node::Duration => self.take(12)?,
            Node::Uuid => self.take(16)?,
            Node::Fixed(size) | Node::Decimal(_, Some(size)) => self.take(*size)?,
            Node::Int | Node::Long | Node::Enum(_) | Node::Date | Node::Time(_) | Node::Timestamp(..) => {
                self.input.long()?;
            }
            Node::Bytes | Node::String | Node::Decimal(_, None) | Node::BigDecimal => {
                self.input.bytes()?;
            }
            Node::Union(branches) => {
                let branch = usize::try_from(self.input.long()?).ok().and_then(|index| branches.get(index));
                // A branch is in the place of its union.
                self.value(*branch.ok_or("a union has no branch with that index")?, depth)?;
            }
            Node::Array(items) => self.items(*items, false, deeper(depth)?)?,
            Node::Map(values) => self.items(*values, true, deeper(depth)?)?,
            Node::Record(fields) => {
                let depth = deeper(depth)?;
                fields.iter().try_for_each(|field| self.value(field.node, depth))?;
            }
        }
        Ok(())
    }

    fn items(&mut self, node: usize, keys: bool, depth: usize) -> Result<(), Fault> {
        loop {
            let count = self.input.items()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if keys {
                    self.input.bytes()?;
                }
                self.value(node, depth)?;
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<(), Fault> {
        self.input.take(count).map(|_| ())
    }
}
