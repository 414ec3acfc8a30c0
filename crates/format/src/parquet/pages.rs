//! The headers of pages: what they announce, and whether that can be.

use std::ops::Range;

use bytes::Bytes;
use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;

use super::row_counts::RowCounts;
use super::shape::{Walk, kind};
use super::sizes::Sizes;
use tollgate_base::error::{Error, Result};

/// A page may say that it is this long without its compression. Writers make pages of about a mebibyte; DuckDB makes one of
/// a column chunk, of 100 MB at most.
pub(super) const PAGE_BYTES: u64 = 128 << 20;
/// Decoded bytes for each stored one, which no page of the codec exceeds, with room for rounding in pages of a few bytes.
const SNAPPY_RATIO: u64 = 32;
const LZ4_RATIO: u64 = 256;
const DEFLATE_RATIO: u64 = 1040;
const SMALL_PAGE_BYTES: u64 = 64 << 10;

/// A page with texts or lengths may have so many values, or the library holds more than a page for their lengths.
const LENGTHS: u64 = PAGE_BYTES / LENGTH_BYTES;
/// What the library holds for the lengths of a value.
const LENGTH_BYTES: u64 = 8;

/// What the pages of a column chunk, or of a part of it, come to in memory.
#[derive(Debug, Clone, Default)]
pub(super) struct Pages {
    /// Bytes of the dictionary.
    pub(super) dictionary_bytes: u64,
    /// Values in the dictionary.
    pub(super) dictionary_values: u64,
    /// Whether some values are not references to the dictionary.
    pub(super) plain: bool,
    /// The data pages: their values, and their bytes without compression.
    pub(super) data: Sizes,
    /// Texts that are stored as a part of the text before them and an addition: what the first parts come to, by values. The
    /// additions are bytes of their page.
    pub(super) repeated: Sizes,
    /// Whether pages are used as they are stored.
    pub(super) stored: bool,
    /// Inside of lists: how many values stand in how many rows, once that was counted.
    pub(super) rows: Option<RowCounts>,
    /// Data pages whose headers do not tell what they come to.
    pub(super) untold: Vec<Untold>,
}

/// A data page whose header does not tell what it comes to.
#[derive(Debug, Clone)]
pub(super) struct Untold {
    /// Data pages before it.
    pub(super) number: usize,
    /// The rows that it has, where an index tells.
    pub(super) rows: Option<Range<u64>>,
    pub(super) page: Page,
}

impl Pages {
    fn add(&mut self, page: Page, rows: Option<Range<u64>>, nested: bool) {
        if page.dictionary {
            self.dictionary_bytes = self.dictionary_bytes.max(page.decoded);
            self.dictionary_values = self.dictionary_values.max(page.values);
            return;
        }
        self.plain |= !matches!(page.encoding, PLAIN_DICTIONARY | RLE_DICTIONARY);
        let lengths = if page.has_lengths() { page.values.saturating_mul(LENGTH_BYTES) } else { 0 };
        if page.has_lengths() || nested {
            self.untold.push(Untold { number: self.data.0.len(), rows, page: page.clone() });
        }
        self.data.add(page.values, page.decoded.saturating_add(lengths));
    }
}

/// Numbers of encodings in the headers of pages.
const PLAIN_DICTIONARY: u64 = 2;
const DELTA_LENGTH_BYTE_ARRAY: u64 = 6;
const DELTA_BYTE_ARRAY: u64 = 7;
const RLE_DICTIONARY: u64 = 8;
const BIT_PACKED: i64 = 4;

/// A page: what its header announces, and its bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    stored: u64,
    decoded: u64,
    pub(super) values: u64,
    encoding: u64,
    dictionary: bool,
    /// The CRC-32 of its stored bytes.
    checksum: Option<u32>,
    /// Where the levels of repetition, and of definition, are in the text and have no length of their own.
    packed_levels: [bool; 2],
    /// The lengths of these levels where they lie before the text, which only the second version of pages has.
    levels: Option<[u64; 2]>,
    /// Whether the text is stored as it is, whatever the codec of its column chunk.
    as_it_is: bool,
    bytes: Bytes,
}

impl Page {
    /// Whether its values are texts of which the lengths stand before them.
    pub(super) fn has_lengths(&self) -> bool {
        matches!(self.encoding, DELTA_LENGTH_BYTE_ARRAY | DELTA_BYTE_ARRAY)
    }

    /// Whether its values begin with parts of the values before them.
    pub(super) fn repeats(&self) -> bool {
        self.encoding == DELTA_BYTE_ARRAY
    }

    /// Bytes of its text without compression.
    pub(super) fn decoded(&self) -> u64 {
        self.decoded
    }

    /// Its levels where they lie before its text, and its text as it is stored, with its length and codec.
    pub(super) fn parts(&self, codec: Compression) -> Option<(Option<Levels<'_>>, &[u8], usize, Compression)> {
        let codec = if self.as_it_is { Compression::UNCOMPRESSED } else { codec };
        let decoded = usize::try_from(self.decoded).ok()?;
        let Some([repetition, definition]) = self.levels else { return Some((None, &self.bytes, decoded, codec)) };
        let repetition = usize::try_from(repetition).ok()?;
        let levels = repetition.checked_add(usize::try_from(definition).ok()?)?;
        let (levels, text) = self.bytes.split_at_checked(levels)?;
        Some((Some(Levels(&levels[..repetition])), text, decoded.checked_sub(levels.len())?, codec))
    }

    pub(super) fn packed_levels(&self) -> [bool; 2] {
        self.packed_levels
    }
}

/// The levels of repetition of a page.
pub(super) struct Levels<'a>(pub(super) &'a [u8]);

/// Looks at the pages in a part of a column chunk, which begins with one: at their headers, before the library reserves the
/// memory that they ask for, since a few bytes can announce two gibibytes; and at their checksums, which it ignores.
///
/// What it saw is added to `pages`. `rows`: those of the one data page, where an index tells.
pub(super) fn check_pages(
    bytes: &Bytes,
    chunk: &ColumnChunkMetaData,
    rows: Option<&Range<u64>>,
    pages: &mut Pages,
) -> Result<()> {
    let most = most_decoded(chunk.compression());
    let chunk_values = u64::try_from(chunk.num_values()).unwrap_or(0);
    let (mut values, mut at) = (0, 0);
    pages.stored = chunk.compression() == Compression::UNCOMPRESSED;
    // What lies behind the last value is nobody's: some writers' chunks are longer than their pages.
    while at < bytes.len() && (values < chunk_values || chunk_values == 0) {
        let mut walk = Walk::new(&bytes[at..]);
        let Some(mut page) = announced(&mut walk) else {
            return Err(Error::data("the header of a Parquet page is damaged"));
        };
        check_announced(&page, chunk_values, most(page.stored))?;
        if !page.dictionary {
            values += page.values;
        }
        let start = bytes.len() - walk.rest.len();
        let end = usize::try_from(page.stored).ok().and_then(|stored| start.checked_add(stored));
        let Some(end) = end.filter(|end| *end <= bytes.len()) else {
            return Err(Error::data("a Parquet page is longer than the rest of its column chunk")
                .with("stored_bytes", page.stored));
        };
        page.bytes = bytes.slice(start..end);
        check_sum(&page, &page.bytes)?;
        pages.add(page, rows.cloned(), chunk.column_descr().max_rep_level() > 0);
        at = end;
    }
    Ok(())
}

fn check_announced(page: &Page, chunk_values: u64, most: u64) -> Result<()> {
    let too_large = page.decoded > PAGE_BYTES.max(page.stored) || page.decoded > most;
    let too_many = match page.dictionary {
        true => page.values > page.decoded.max(1),
        false => page.values > chunk_values || (page.has_lengths() && page.values > LENGTHS),
    };
    if !too_large && !too_many {
        return Ok(());
    }
    Err(Error::data("a Parquet page declares more than it can hold")
        .with("page_bytes", page.decoded)
        .with("stored_bytes", page.stored)
        .with("values", page.values)
        .with("limit_bytes", PAGE_BYTES))
}

/// Compares the checksum of a page, which its writer need not give, with its bytes.
fn check_sum(page: &Page, stored: &[u8]) -> Result<()> {
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
fn announced(walk: &mut Walk<'_>) -> Option<Page> {
    let (mut field, mut page) = (0, Page::default());
    while let Some(kind) = walk.field(&mut field)? {
        match (field, kind) {
            (2, kind::I32) => page.decoded = u64::try_from(walk.zigzag()?).ok()?,
            (3, kind::I32) => page.stored = u64::try_from(walk.zigzag()?).ok()?,
            (4, kind::I32) => page.checksum = Some(i32::try_from(walk.zigzag()?).ok()?.cast_unsigned()),
            (5 | 7, kind::STRUCT) => {
                page.dictionary = field == 7;
                add_first_version(walk, &mut page)?;
            }
            (8, kind::STRUCT) => add_second_version(walk, &mut page)?,
            _ => walk.value(kind, 1)?,
        }
    }
    Some(page)
}

/// Reads a `DataPageHeader`, or a `DictionaryPageHeader`, which has its first two fields.
fn add_first_version(walk: &mut Walk<'_>, page: &mut Page) -> Option<()> {
    let mut field = 0;
    while let Some(kind) = walk.field(&mut field)? {
        match (field, kind) {
            (1, kind::I32) => page.values = u64::try_from(walk.zigzag()?).ok()?,
            (2, kind::I32) => page.encoding = u64::try_from(walk.zigzag()?).ok()?,
            (3, kind::I32) => page.packed_levels[1] = walk.zigzag()? == BIT_PACKED,
            (4, kind::I32) => page.packed_levels[0] = walk.zigzag()? == BIT_PACKED,
            _ => walk.value(kind, 2)?,
        }
    }
    Some(())
}

/// Reads a `DataPageHeaderV2`.
fn add_second_version(walk: &mut Walk<'_>, page: &mut Page) -> Option<()> {
    let (mut field, mut levels) = (0, [0; 2]);
    while let Some(kind) = walk.field(&mut field)? {
        match (field, kind) {
            (1, kind::I32) => page.values = u64::try_from(walk.zigzag()?).ok()?,
            (4, kind::I32) => page.encoding = u64::try_from(walk.zigzag()?).ok()?,
            (5, kind::I32) => levels[1] = u64::try_from(walk.zigzag()?).ok()?,
            (6, kind::I32) => levels[0] = u64::try_from(walk.zigzag()?).ok()?,
            (7, kind::TRUE | kind::FALSE) => page.as_it_is = kind == kind::FALSE,
            _ => walk.value(kind, 2)?,
        }
    }
    page.levels = Some(levels);
    Some(())
}
