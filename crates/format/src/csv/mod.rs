//! CSV and TSV: text → rows of fields.
//!
//! ```text
//!   text ─ skip lines ─ header ─ skip lines ─▶ rows: scan (64 bytes at a time) ─ odd row? ─▶ walk (byte by byte)
//!                                                 └──▶ spans, quotes and escapes taken out in place
//! ```
//!
//! What a row is, is Python's `csv` module in its default mode, since saved configurations were written against it;
//! better than there: a byte order mark is taken off, header names lose spaces around them in records as they do in
//! the catalog, a quoted header name may hold a line break, and an unclosed quote is an error.

mod dialect;
mod header;
mod read_header;
mod scan;
mod splitter;
mod walk;
mod width;

pub(crate) use self::splitter::CsvSplitter;
