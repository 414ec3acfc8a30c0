//! Parquet files as no writer makes them: a few bytes for many values.

use crate::support::gzipped;

/// Numbers of encodings.
const PLAIN: u64 = 0;
const RLE: u64 = 3;
pub const DELTA_LENGTH_BYTE_ARRAY: u64 = 6;
pub const DELTA_BYTE_ARRAY: u64 = 7;
const RLE_DICTIONARY: u64 = 8;

const INT32: u64 = 1;
const BYTE_ARRAY: u64 = 6;
const UTF8: u64 = 0;
const UNCOMPRESSED: u64 = 0;
const GZIP: u64 = 2;
const REQUIRED: u64 = 0;
const REPEATED: u64 = 2;

/// Types of Thrift's compact protocol.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A page, whose text is compressed where its column is.
#[derive(Debug, Clone)]
pub struct Page {
    values: u64,
    encoding: u64,
    text: Vec<u8>,
    /// Bytes of the text without compression.
    decoded: usize,
    dictionary: bool,
}

impl Page {
    /// A page of values.
    pub fn new(values: u64, encoding: u64, text: Vec<u8>) -> Self {
        Self { values, encoding, decoded: text.len(), text, dictionary: false }
    }

    /// A page of texts that goes on behind them, compressed.
    pub fn gzipped_texts(texts: &[&str], decoded: usize) -> Self {
        let text = |text: &&str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        let mut page: Vec<u8> = texts.iter().flat_map(text).collect();
        page.resize(decoded, 0);
        Self { text: gzipped(&page), ..Self::new(texts.len() as u64, PLAIN, page) }
    }
}

/// A column of the one row group.
#[derive(Debug)]
pub struct Column {
    name: &'static str,
    kind: u64,
    repetition: u64,
    codec: u64,
    pages: Vec<Page>,
}

impl Column {
    pub fn texts(name: &'static str, pages: Vec<Page>) -> Self {
        Self { name, kind: BYTE_ARRAY, repetition: REQUIRED, codec: UNCOMPRESSED, pages }
    }

    /// Lists of numbers.
    pub fn list(name: &'static str, pages: Vec<Page>) -> Self {
        Self { name, kind: INT32, repetition: REPEATED, codec: UNCOMPRESSED, pages }
    }

    /// The column as one whose pages are compressed.
    pub fn gzipped(self) -> Self {
        Self { codec: GZIP, ..self }
    }
}

/// A dictionary that has the number 7.
pub fn dictionary_of_one_number() -> Page {
    Page { dictionary: true, ..Page::new(1, PLAIN, vec![7, 0, 0, 0]) }
}

/// A page of lists whose values are all the first one of the dictionary: runs of levels of repetition with their lengths.
pub fn list_page(runs: &[(u8, u64)]) -> Page {
    let values = runs.iter().map(|(_, count)| count).sum();
    let run = |(value, count): &(u8, u64)| [number(count << 1), vec![*value]].concat();
    let levels = |runs: &[(u8, u64)]| {
        let runs: Vec<u8> = runs.iter().flat_map(run).collect();
        [(runs.len() as u32).to_le_bytes().to_vec(), runs].concat()
    };
    let text = [levels(runs), levels(&[(1, values)]), vec![1], run(&(0, values))].concat();
    Page::new(values, RLE_DICTIONARY, text)
}

/// A file with these columns in one row group.
pub fn file(columns: &[Column], rows: u64) -> Vec<u8> {
    let mut file = b"PAR1".to_vec();
    let (mut elements, mut chunks) =
        (vec![Struct::new().binary(4, "root").i32(5, columns.len() as u64).end()], Vec::new());
    for column in columns {
        let element = Struct::new().i32(1, column.kind).i32(3, column.repetition).binary(4, column.name);
        elements.push(if column.kind == BYTE_ARRAY { element.i32(6, UTF8).end() } else { element.end() });
        chunks.push(chunk(column, &mut file));
    }
    let group = Struct::new().list(1, STRUCT, &chunks).i64(2, file.len() as u64).i64(3, rows).end();
    let footer = Struct::new().i32(1, 1).list(2, STRUCT, &elements).i64(3, rows).list(4, STRUCT, &[group]).end();
    file.extend(&footer);
    file.extend((footer.len() as u32).to_le_bytes());
    file.extend(b"PAR1");
    file
}

/// Appends the pages of a column, and gives what the footer says of them.
fn chunk(column: &Column, file: &mut Vec<u8>) -> Vec<u8> {
    let start = file.len() as u64;
    let mut first_data = None;
    for page in &column.pages {
        if !page.dictionary {
            first_data.get_or_insert(file.len() as u64);
        }
        let header = Struct::new().i32(1, if page.dictionary { 2 } else { 0 });
        let header = header.i32(2, page.decoded as u64).i32(3, page.text.len() as u64);
        let data = Struct::new().i32(1, page.values).i32(2, page.encoding);
        let data = if page.dictionary { data } else { data.i32(3, RLE).i32(4, RLE) };
        file.extend(header.nested(if page.dictionary { 7 } else { 5 }, &data.end()).end());
        file.extend(&page.text);
    }
    let values = column.pages.iter().filter(|page| !page.dictionary).map(|page| page.values).sum();
    let bytes = file.len() as u64 - start;
    let metadata = Struct::new()
        .i32(1, column.kind)
        .list(2, I32, &[number(RLE << 1)])
        .list(3, BINARY, &[[number(column.name.len() as u64), column.name.into()].concat()])
        .i32(4, column.codec)
        .i64(5, values)
        .i64(6, bytes)
        .i64(7, bytes)
        .i64(9, first_data.unwrap_or(start));
    let metadata = if first_data == Some(start) { metadata } else { metadata.i64(11, start) };
    Struct::new().i64(2, start).nested(3, &metadata.end()).end()
}

/// A struct of Thrift's compact protocol in the making.
struct Struct {
    bytes: Vec<u8>,
    last: u8,
}

impl Struct {
    fn new() -> Self {
        Self { bytes: Vec::new(), last: 0 }
    }

    fn field(mut self, id: u8, kind: u8, value: &[u8]) -> Self {
        self.bytes.push((id - self.last) << 4 | kind);
        self.bytes.extend(value);
        Self { last: id, ..self }
    }

    fn i32(self, id: u8, value: u64) -> Self {
        self.field(id, I32, &number(value << 1))
    }

    fn i64(self, id: u8, value: u64) -> Self {
        self.field(id, I64, &number(value << 1))
    }

    fn binary(self, id: u8, text: &str) -> Self {
        self.field(id, BINARY, &[number(text.len() as u64), text.into()].concat())
    }

    fn nested(self, id: u8, value: &[u8]) -> Self {
        self.field(id, STRUCT, value)
    }

    fn list(self, id: u8, kind: u8, items: &[Vec<u8>]) -> Self {
        let head = if items.len() < 15 {
            vec![(items.len() as u8) << 4 | kind]
        } else {
            [vec![0xf0 | kind], number(items.len() as u64)].concat()
        };
        self.field(id, LIST, &[head, items.concat()].concat())
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn number(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
