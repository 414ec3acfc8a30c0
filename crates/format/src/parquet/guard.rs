//! The one place where the Parquet library's failures become errors of this program.

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;

use super::shape::{Walk, kind};
use crate::quiet::caught;
use tollgate_base::error::{Error, ErrorKind, Result};

/// A page may say that it is this long without its compression. Writers make pages of about a mebibyte; DuckDB makes one of
/// a column chunk, of 100 MB at most.
pub(super) const PAGE_BYTES: u64 = 128 << 20;
/// Decoded bytes for each stored one, which no page of the codec exceeds, with room for rounding in pages of a few bytes.
const SNAPPY_RATIO: u64 = 32;
const LZ4_RATIO: u64 = 256;
const DEFLATE_RATIO: u64 = 1040;
const SMALL_PAGE_BYTES: u64 = 64 << 10;

/// What the pages of a column chunk, or of a part of it, come to in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    /// Bytes of the dictionary.
    pub(super) dictionary_bytes: u64,
    /// Values in the dictionary.
    pub(super) dictionary_values: u64,
    /// Whether some values are not references to the dictionary.
    pub(super) plain: bool,
    /// Whether some values are written as a part of the value before them and an addition: nothing bounds their length but
    /// the bytes of their page.
    pub(super) delta: bool,
    /// The data pages: their values, and their bytes without compression.
    pub(super) data: Vec<(u64, u64)>,
    /// Whether pages are used as they are stored.
    pub(super) stored: bool,
}

impl Pages {
    fn add(&mut self, page: &Announced, stored: bool) {
        self.stored = stored;
        if page.dictionary {
            self.dictionary_bytes = self.dictionary_bytes.max(page.decoded);
            self.dictionary_values = self.dictionary_values.max(page.values);
            return;
        }
        self.plain |= !matches!(page.encoding, PLAIN_DICTIONARY | RLE_DICTIONARY);
        self.delta |= page.encoding == DELTA_BYTE_ARRAY;
        self.data.push((page.values, page.decoded));
    }

    /// Bytes of the longest data page.
    pub(super) fn longest(&self) -> u64 {
        self.data.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0)
    }

    /// Bytes of all data pages.
    pub(super) fn total(&self) -> u64 {
        self.data.iter().map(|(_, bytes)| *bytes).sum()
    }

    /// The most bytes of pages all of whose values are among `values` that follow one another.
    pub(super) fn most_within(&self, values: u64) -> u64 {
        let (mut first, mut held, mut bytes, mut most) = (0, 0, 0, 0);
        for (page_values, page_bytes) in &self.data {
            held += page_values;
            bytes += page_bytes;
            while held > values && first < self.data.len() {
                held -= self.data[first].0.min(held);
                bytes -= self.data[first].1.min(bytes);
                first += 1;
            }
            most = most.max(bytes);
        }
        most
    }
}

/// Numbers of encodings in the headers of pages.
const PLAIN_DICTIONARY: u64 = 2;
const DELTA_BYTE_ARRAY: u64 = 7;
const RLE_DICTIONARY: u64 = 8;

/// What the header of a page announces.
#[derive(Debug, Default)]
struct Announced {
    stored: u64,
    decoded: u64,
    values: u64,
    encoding: u64,
    dictionary: bool,
    /// The CRC-32 of its stored bytes.
    checksum: Option<u32>,
}

/// Looks at the pages in a part of a column chunk, which begins with one: at their headers, before the library reserves the
/// memory that they ask for, since a few bytes can announce two gibibytes; and at their checksums, which it ignores.
///
/// What it saw is added to `pages`.
pub(super) fn check_pages(mut bytes: &[u8], chunk: &ColumnChunkMetaData, pages: &mut Pages) -> Result<()> {
    let most = most_decoded(chunk.compression());
    let chunk_values = u64::try_from(chunk.num_values()).unwrap_or(0);
    let mut values = 0;
    // What lies behind the last value is nobody's: some writers' chunks are longer than their pages.
    while !bytes.is_empty() && (values < chunk_values || chunk_values == 0) {
        let mut walk = Walk::new(bytes);
        let Some(page) = announced(&mut walk) else {
            return Err(Error::data("the header of a Parquet page is damaged"));
        };
        let too_large = page.decoded > PAGE_BYTES.max(page.stored) || page.decoded > most(page.stored);
        let too_many = if page.dictionary { page.values > page.decoded.max(1) } else { page.values > chunk_values };
        if too_large || too_many {
            return Err(Error::data("a Parquet page declares more values than it can hold")
                .with("page_bytes", page.decoded)
                .with("stored_bytes", page.stored)
                .with("values", page.values)
                .with("limit_bytes", PAGE_BYTES));
        }
        if !page.dictionary {
            values += page.values;
        }
        let Some((stored, rest)) =
            usize::try_from(page.stored).ok().and_then(|stored| walk.rest.split_at_checked(stored))
        else {
            return Err(Error::data("a Parquet page is longer than the rest of its column chunk")
                .with("stored_bytes", page.stored));
        };
        check_sum(&page, stored)?;
        pages.add(&page, chunk.compression() == Compression::UNCOMPRESSED);
        bytes = rest;
    }
    Ok(())
}

/// Compares the checksum of a page, which its writer need not give, with its bytes.
fn check_sum(page: &Announced, stored: &[u8]) -> Result<()> {
    let Some(expected) = page.checksum else { return Ok(()) };
    let mut sum = flate2::Crc::new();
    sum.update(stored);
    if sum.sum() == expected {
        return Ok(());
    }
    Err(Error::data("the checksum of a Parquet page does not match its header")
        .with("page_bytes", stored.len())
        .with("checksum", format!("{:08x}", sum.sum()))
        .with("expected_checksum", format!("{expected:08x}"))
        .hint("the file was damaged after it was written: write or upload it again"))
}

/// How many bytes a codec can make of so many.
fn most_decoded(codec: Compression) -> impl Fn(u64) -> u64 {
    let ratio = match codec {
        Compression::UNCOMPRESSED => 1,
        Compression::SNAPPY => SNAPPY_RATIO,
        Compression::LZ4 | Compression::LZ4_RAW => LZ4_RATIO,
        Compression::GZIP(_) => DEFLATE_RATIO,
        // These can say "a million zeros" in a few bytes; their decoders write no more than they made.
        Compression::ZSTD(_) | Compression::BROTLI(_) | Compression::LZO => u64::MAX,
    };
    move |stored| stored.saturating_mul(ratio).max(SMALL_PAGE_BYTES)
}

/// Reads a `PageHeader`.
fn announced(walk: &mut Walk<'_>) -> Option<Announced> {
    let (mut field, mut page) = (0, Announced::default());
    while let Some(kind) = walk.field(&mut field)? {
        match (field, kind) {
            (2, kind::I32) => page.decoded = u64::try_from(walk.zigzag()?).ok()?,
            (3, kind::I32) => page.stored = u64::try_from(walk.zigzag()?).ok()?,
            (4, kind::I32) => page.checksum = Some(i32::try_from(walk.zigzag()?).ok()?.cast_unsigned()),
            (5 | 7 | 8, kind::STRUCT) => {
                page.dictionary = field == 7;
                // The encoding of the second version of data pages comes after the numbers of nulls and rows.
                (page.values, page.encoding) = values_and_encoding(walk, if field == 8 { 4 } else { 2 })?;
            }
            _ => walk.value(kind, 1)?,
        }
    }
    Some(page)
}

/// The first field of a struct, which in all headers is the number of values, and the one that has the encoding.
fn values_and_encoding(walk: &mut Walk<'_>, encoding_field: i64) -> Option<(u64, u64)> {
    let (mut field, mut values, mut encoding) = (0, 0, 0);
    while let Some(kind) = walk.field(&mut field)? {
        if field == 1 && kind == kind::I32 {
            values = u64::try_from(walk.zigzag()?).ok()?;
        } else if field == encoding_field && kind == kind::I32 {
            encoding = u64::try_from(walk.zigzag()?).ok()?;
        } else {
            walk.value(kind, 2)?;
        }
    }
    Some((values, encoding))
}

/// Runs a call into the Parquet library.
///
/// The library asserts where a file breaks its promises (negative lengths, definition levels beyond their maximum,
/// lists that overrun): for us these are bytes from outside, so a panic ends as a data error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    match caught(work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(from_parquet(error)),
        Err(panic) => Err(Error::data("the bytes are not valid Parquet").caused_by(panic)),
    }
}

fn from_parquet(error: ParquetError) -> Error {
    match error {
        ParquetError::NYI(what) => {
            Error::new(ErrorKind::Unsupported, "the file uses a Parquet feature that is not supported").caused_by(what)
        }
        other => Error::data("the bytes are not valid Parquet").caused_by(other),
    }
}
