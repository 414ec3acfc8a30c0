//! A look over a footer before the Parquet library reads it.
//!
//! The library reserves memory for as many items as a footer announces, and descends into a schema as deep as it is
//! nested. Where the bytes are not a footer at all (one flipped bit suffices) either can end the process, which no
//! handler can catch. So this walks over the footer once (Thrift's compact protocol, parquet-format's
//! `FileMetaData`), keeps nothing, and refuses what announces more than it has.

use std::borrow::Cow;
use std::collections::BTreeSet;

use tollgate_base::error::{Error, Result};

/// Levels of a schema. A list or map has two or three per level of the data.
const SCHEMA_LEVELS: usize = 100;
/// Levels of structs and lists in the metadata itself; the format has about ten.
const THRIFT_LEVELS: usize = 32;
/// Thrift's field number of `FileMetaData.schema`.
const SCHEMA: i64 = 2;
/// Thrift's field number of `FileMetaData.row_groups`.
const ROW_GROUPS: i64 = 4;
/// Thrift's field number of `RowGroup.columns`.
const COLUMNS: i64 = 1;
/// Thrift's field number of `ColumnChunk.meta_data`.
const META_DATA: i64 = 3;
/// Thrift's field number of `ColumnChunk.crypto_metadata`.
const CRYPTO: i64 = 8;
/// Thrift's field number of `SchemaElement.num_children`.
const CHILDREN: i64 = 5;

/// Thrift's types in a field's or list's header.
pub(super) mod kind {
    pub(in crate::parquet) const STOP: u8 = 0;
    pub(in crate::parquet) const TRUE: u8 = 1;
    pub(in crate::parquet) const FALSE: u8 = 2;
    pub(in crate::parquet) const BYTE: u8 = 3;
    pub(in crate::parquet) const I16: u8 = 4;
    pub(in crate::parquet) const I32: u8 = 5;
    pub(in crate::parquet) const I64: u8 = 6;
    pub(in crate::parquet) const DOUBLE: u8 = 7;
    pub(in crate::parquet) const BINARY: u8 = 8;
    pub(in crate::parquet) const LIST: u8 = 9;
    pub(in crate::parquet) const SET: u8 = 10;
    pub(in crate::parquet) const MAP: u8 = 11;
    pub(in crate::parquet) const STRUCT: u8 = 12;
    pub(in crate::parquet) const UUID: u8 = 13;
}

/// What the library does not look at.
#[derive(Debug, Default)]
pub(super) struct Shape {
    /// The leaf columns that are encrypted in some row group: the library takes their bytes for pages.
    pub(super) encrypted: BTreeSet<usize>,
    /// The bytes of the headers of fields that have another type than the format gives them, counted from the end: forks
    /// used numbers that the format took later. The library reads them as if they had the right type.
    foreign: Vec<usize>,
}

impl Shape {
    /// The metadata with a number for each foreign field that the format does not have.
    pub(super) fn readable<'a>(&self, metadata: &'a [u8]) -> Cow<'a, [u8]> {
        if self.foreign.is_empty() {
            return Cow::Borrowed(metadata);
        }
        let mut metadata = metadata.to_vec();
        let length = metadata.len();
        for from_end in &self.foreign {
            // The largest step: what follows in the struct has higher numbers still.
            metadata[length - from_end] |= 0xf0;
        }
        Cow::Owned(metadata)
    }
}

/// Walks over a footer's metadata.
pub(super) fn check(metadata: &[u8]) -> Result<Shape> {
    let mut walk = Walk::new(metadata);
    let mut shape = Shape::default();
    match walk.footer(&mut shape) {
        Some(()) => Ok(shape),
        None => Err(Error::data("the Parquet footer is damaged").with("footer_byte", metadata.len() - walk.rest.len())),
    }
}

/// A place in the bytes. All steps give `None` where the bytes end too early or are not what they should be.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// A text or bytes.
    pub(super) fn binary(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(text)
    }

    fn footer(&mut self, shape: &mut Shape) -> Option<()> {
        let mut field = 0;
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                (SCHEMA, kind::LIST) => self.schema()?,
                (ROW_GROUPS, kind::LIST) => {
                    let (groups, kind) = self.list()?;
                    for _ in 0..groups {
                        if kind != kind::STRUCT {
                            return None;
                        }
                        self.row_group(shape)?;
                    }
                }
                _ => self.value(kind, 1)?,
            }
        }
        Some(())
    }

    fn row_group(&mut self, shape: &mut Shape) -> Option<()> {
        let mut field = 0;
        while let Some(kind) = self.field(&mut field)? {
            if (field, kind) != (COLUMNS, kind::LIST) {
                self.value(kind, 3)?;
                continue;
            }
            let (columns, kind) = self.list()?;
            for leaf in 0..columns {
                if kind != kind::STRUCT {
                    return None;
                }
                self.column(usize::try_from(leaf).ok()?, shape)?;
            }
        }
        Some(())
    }

    fn column(&mut self, leaf: usize, shape: &mut Shape) -> Option<()> {
        let mut field = 0;
        while let Some(kind) = self.field(&mut field)? {
            match (field, kind) {
                (META_DATA, kind::STRUCT) => self.column_metadata(shape)?,
                (CRYPTO, _) => {
                    shape.encrypted.insert(leaf);
                    self.value(kind, 5)?;
                }
                _ => self.value(kind, 5)?,
            }
        }
        Some(())
    }

    fn column_metadata(&mut self, shape: &mut Shape) -> Option<()> {
        let mut field = 0;
        loop {
            let from_end = self.rest.len();
            let short = self.rest.first().is_some_and(|header| header >> 4 > 0);
            let Some(kind) = self.field(&mut field)? else { return Some(()) };
            let expected = match field {
                14 => kind::I64,
                15 => kind::I32,
                16 | 17 => kind::STRUCT,
                _ => kind,
            };
            if kind != expected && short {
                shape.foreign.push(from_end);
            }
            self.value(kind, 6)?;
        }
    }

    /// The list of schema elements: a tree in which each node tells how many children follow it.
    fn schema(&mut self) -> Option<()> {
        let (mut left, kind) = self.list()?;
        let mut open = Vec::new();
        while left > 0 {
            left -= 1;
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(children) = open.last_mut() {
                *children -= 1;
            }
            let children = if kind == kind::STRUCT { self.schema_element()? } else { return None };
            if children > left || open.len() > SCHEMA_LEVELS {
                return None;
            }
            open.push(children);
        }
        Some(())
    }

    fn schema_element(&mut self) -> Option<u64> {
        let (mut field, mut children) = (0, 0);
        while let Some(kind) = self.field(&mut field)? {
            if field == CHILDREN && kind == kind::I32 {
                children = u64::try_from(self.zigzag()?).ok()?;
            } else {
                self.value(kind, 3)?;
            }
        }
        Some(children)
    }

    /// The next field's type, or `None` inside where the struct ends.
    pub(super) fn field(&mut self, field: &mut i64) -> Option<Option<u8>> {
        let header = self.byte()?;
        let (step, kind) = (header >> 4, header & 15);
        if kind == kind::STOP {
            return Some(None);
        }
        *field = if step == 0 { self.zigzag()? } else { field.checked_add(i64::from(step))? };
        Some(Some(kind))
    }

    pub(super) fn value(&mut self, kind: u8, levels: usize) -> Option<()> {
        match kind {
            kind::TRUE | kind::FALSE => Some(()),
            kind::BYTE => self.skip(1),
            kind::I16 | kind::I32 | kind::I64 => self.varint().map(drop),
            kind::DOUBLE => self.skip(8),
            kind::BINARY => {
                let length = self.varint()?;
                self.skip(length)
            }
            kind::UUID => self.skip(16),
            kind::LIST | kind::SET | kind::MAP | kind::STRUCT if levels < THRIFT_LEVELS => {
                self.nested(kind, levels + 1)
            }
            _ => None,
        }
    }

    fn nested(&mut self, kind: u8, levels: usize) -> Option<()> {
        match kind {
            kind::STRUCT => {
                let mut field = 0;
                while let Some(kind) = self.field(&mut field)? {
                    self.value(kind, levels)?;
                }
            }
            kind::MAP => {
                let size = self.varint()?;
                let kinds = if size > 0 { self.byte()? } else { 0 };
                for _ in 0..size {
                    self.item(kinds >> 4, levels)?;
                    self.item(kinds & 15, levels)?;
                }
            }
            _ => {
                let (size, kind) = self.list()?;
                for _ in 0..size {
                    self.item(kind, levels)?;
                }
            }
        }
        Some(())
    }

    /// An item of a list or map. Unlike those of structs, its truth values have a byte of their own: each item has
    /// at least one byte, and so no list is longer than the bytes that are left.
    fn item(&mut self, kind: u8, levels: usize) -> Option<()> {
        match kind {
            kind::TRUE | kind::FALSE => self.skip(1),
            kind => self.value(kind, levels),
        }
    }

    /// A list's length and its items' type.
    pub(super) fn list(&mut self) -> Option<(u64, u8)> {
        let header = self.byte()?;
        let size = match header >> 4 {
            15 => self.varint()?,
            size => u64::from(size),
        };
        Some((size, header & 15)).filter(|(size, _)| *size <= self.rest.len() as u64)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn skip(&mut self, length: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127).checked_shl(shift).unwrap_or(0);
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    pub(super) fn zigzag(&mut self) -> Option<i64> {
        self.varint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer with nothing but a schema: each element has a name and, unless it is 0, a number of children.
    fn footer(children: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x29, 0xfc];
        let mut count = children.len();
        while count >= 128 {
            bytes.push(count as u8 | 128);
            count >>= 7;
        }
        bytes.push(count as u8);
        for children in children {
            // Field 4 is the name, field 5 the number of children; the second 0 ends the struct.
            bytes.extend([0x48, 1, b'a']);
            if *children > 0 {
                bytes.extend([0x15, children << 1]);
            }
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn a_schema_may_not_announce_more_than_it_has() {
        for (children, good) in
            [(&[2, 0, 0][..], true), (&[1, 2, 0, 0], true), (&[2, 0], false), (&[1, 60, 0], false), (&[0], true)]
        {
            assert_eq!(check(&footer(children)).is_ok(), good, "{children:?}");
        }
    }

    #[test]
    fn a_schema_may_not_be_nested_without_end() {
        let nested = |levels| {
            let mut children = vec![1; levels];
            children.push(0);
            footer(&children)
        };
        assert!(check(&nested(SCHEMA_LEVELS)).is_ok());
        assert!(check(&nested(SCHEMA_LEVELS + 1)).is_err());
        assert!(check(&nested(100_000)).is_err());
        let wide = [&[50, 3, 0, 0, 0][..], &[0; 49]].concat();
        assert!(check(&footer(&wide)).is_ok());
    }

    #[test]
    fn fields_of_forks_get_a_number_that_the_format_does_not_have() {
        // A row group with a column whose metadata has a number as field 9 and a list as field 15, which is a number too.
        let footer = [0x49, 0x1c, 0x19, 0x1c, 0x3c, 0x96, 0, 0x69, 0x13, 7, 0, 0, 0, 0];
        let readable = check(&footer).unwrap().readable(&footer).into_owned();
        let expected = [0x49, 0x1c, 0x19, 0x1c, 0x3c, 0x96, 0, 0xf9, 0x13, 7, 0, 0, 0, 0];
        assert_eq!(readable, expected);
        let good = [0x49, 0x1c, 0x19, 0x1c, 0x3c, 0x96, 0, 0x65, 2, 0, 0, 0, 0];
        assert_eq!(*check(&good).unwrap().readable(&good), good);
    }

    #[test]
    fn encrypted_columns_are_told_by_their_index() {
        // The second of three columns has an empty struct as field 8.
        let footer = [0x49, 0x1c, 0x19, 0x3c, 0x3c, 0, 0, 0x3c, 0, 0x5c, 0, 0, 0x3c, 0, 0, 0, 0];
        assert_eq!(check(&footer).unwrap().encrypted, BTreeSet::from([1]));
    }

    #[test]
    fn lists_and_texts_may_not_be_longer_than_the_footer() {
        for bytes in [
            // A list of 2^31 structs; a text of 100 bytes; lists in lists; a number without end; no end.
            &[0x49, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0][..],
            &[0x48, 100, b'a', 0],
            &[0x49; 100],
            &[0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
            &[0x15, 2],
        ] {
            assert!(check(bytes).is_err(), "{bytes:x?}");
        }
    }
}
