//! The decoder of a container: its header, its blocks, and the rows in them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{Codec, MOST_DECODED_BYTES};
use super::lost::Lost;
use super::schema::Schema;
use super::value::{Fault, Input, TOO_LONG, Writer};
use super::walk;
use crate::compression::{Caps, Filled, Source};
use crate::decode::{Access, Decode, DecodeLimits, InputEnd, Step};
use crate::resume::{foreign_position, refused_position};
use tollgate_base::batch::{
    Batch, Decoded, Frame, InferredColumn, JsonField, JsonKind, JsonRows, Place, Position, Span,
};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{AvroOptions, Compression, OnBadRow, Projection};

pub(super) const MAGIC: &[u8] = b"Obj\x01";
/// Bytes of the marker behind the header and each block.
pub(crate) const MARKER_BYTES: usize = 16;
/// Bytes that are looked at first for a header; nearly all fit.
pub(super) const HEADER_BYTES: usize = 64 << 10;
/// Bytes of a header at most: a schema of many thousand columns.
const MOST_HEADER_BYTES: usize = 16 << 20;
/// Bytes of a block as stored at most. Writers make blocks of kilobytes.
pub(super) const MOST_BLOCK_BYTES: usize = 64 << 20;
/// Blocks up to this size, stored and decompressed, need no room of their own.
pub(super) const FREE_BLOCK_BYTES: u64 = 2 << 20;
/// So many times as much room is asked for where it was not enough: a block is decompressed again then.
const ROOM_GROWS: u64 = 4;
/// Two numbers of variable length: what a block begins with.
pub(super) const BLOCK_HEAD_BYTES: usize = 20;
/// Rows of a block beyond the number of its bytes: rows without bytes exist, but not without end.
pub(super) const ROWS_WITHOUT_BYTES: u64 = 1 << 20;

/// A decoder of one Avro object.
pub(crate) struct AvroDecoder {
    pub(super) key: Arc<str>,
    pub(super) size: u64,
    pub(super) options: AvroOptions,
    pub(super) projection: Projection,
    pub(super) limits: DecodeLimits,
    pub(super) source: Source,
    pub(super) buffer: Buffer,
    pub(super) stage: Stage,
    /// Rows handed over or gone over.
    pub(super) rows: u64,
    /// Rows still to be left out, on resuming by their number.
    pub(super) skip: u64,
    /// What the next step ends with, after the rows before it.
    pub(super) fault: Option<Error>,
    /// Bytes of a block as stored, and as decompressed, for which there is room.
    pub(super) roomy: (u64, u64),
}

/// Where reading goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resume {
    /// A block's first byte.
    pub(super) offset: u64,
    /// Rows of it that are done.
    pub(super) row: u64,
}

pub(super) enum Stage {
    /// The header is fetched apart, to go on at a position: so many of the object's first bytes are asked for.
    HeaderApart { wanted: usize, head: Vec<u8>, resume: Resume },
    /// The header is read from the stream.
    Header,
    /// The marker before the block where reading goes on.
    Marker(Box<Header>, Resume),
    /// Between blocks. So many rows of the next one are done already.
    Between(Box<Header>, u64),
    /// In a block.
    Inside(Box<Header>, Block),
    /// Behind a block that is lost, on the way to the next marker. So many rows of it were done already.
    Seeking(Box<Header>, Lost, u64),
}

/// What a container begins with.
pub(super) struct Header {
    pub(super) schema: Schema,
    pub(super) codec: Codec,
    pub(super) marker: [u8; MARKER_BYTES],
    /// The schema's fields that are wanted, each with its key's text in a batch.
    pub(super) keys: Vec<Option<Span>>,
    /// The keys' texts, which every batch begins with.
    pub(super) key_text: Vec<u8>,
}

/// A block that was read and decompressed.
pub(super) struct Block {
    /// Its first byte in the object.
    pub(super) offset: u64,
    pub(super) rows: u64,
    pub(super) done: u64,
    pub(super) data: Vec<u8>,
    /// Bytes of `data` that are used.
    pub(super) at: usize,
    /// Where its rows end, once a bad one made somebody look.
    pub(super) ends: Option<walk::Ends>,
}

/// Bytes of the container that were not used yet.
pub(super) struct Buffer {
    pub(super) data: Vec<u8>,
    pub(super) head: usize,
    /// The offset of `data` in the container.
    pub(super) base: u64,
    pub(super) ended: bool,
}

impl Buffer {
    pub(super) fn rest(&self) -> &[u8] {
        &self.data[self.head..]
    }

    pub(super) fn offset(&self) -> u64 {
        self.base + self.head as u64
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.head += count;
    }

    /// Makes `count` bytes available, or all there are. `false`: more must be fed first.
    pub(super) fn fill(&mut self, source: &mut Source, count: usize) -> Result<bool> {
        if self.ended || self.rest().len() >= count {
            return Ok(true);
        }
        self.data.drain(..self.head);
        self.base += self.head as u64;
        self.head = 0;
        match source.read(&mut self.data, count)? {
            Filled::Full => Ok(true),
            Filled::NeedBytes => Ok(false),
            Filled::End => {
                self.ended = true;
                Ok(true)
            }
        }
    }
}

impl AvroDecoder {
    /// A decoder of `object` that begins behind `resume`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when `resume` is a position of another format.
    pub(crate) fn new(
        options: &AvroOptions,
        compression: Compression,
        projection: &Projection,
        object: &ObjectFacts,
        resume: Option<&Position>,
        limits: &DecodeLimits,
    ) -> Result<Self> {
        let (mut from, mut skip, mut stage) = (0, 0, Stage::Header);
        // Those that are gone over again on the way are counted again.
        let mut rows = resume.map_or(0, |position| position.rows);
        match resume.map(|position| &position.place) {
            None | Some(Place::Start) => {}
            Some(Place::Block { offset, row }) => {
                from = offset.saturating_sub(MARKER_BYTES as u64);
                let resume = Resume { offset: *offset, row: *row };
                stage = Stage::HeaderApart { wanted: HEADER_BYTES, head: Vec::new(), resume };
                rows = rows.saturating_sub(*row);
            }
            Some(Place::RowGroup { group: 0, row }) => {
                skip = *row;
                rows = rows.saturating_sub(*row);
            }
            Some(Place::Byte { .. } | Place::RowGroup { .. }) => return Err(foreign_position()),
        }
        // Only an object that is not compressed gives positions of blocks.
        let compression = if from > 0 { Compression::None } else { compression };
        let source = Source::new(compression, Frame { stored: from, decoded: from }, limits.caps)?;
        Ok(Self {
            key: Arc::clone(&object.key),
            size: object.size,
            options: options.clone(),
            projection: projection.clone(),
            limits: *limits,
            source,
            buffer: Buffer { data: Vec::new(), head: 0, base: from, ended: false },
            stage,
            rows,
            skip,
            fault: None,
            roomy: (FREE_BLOCK_BYTES, FREE_BLOCK_BYTES),
        })
    }

    pub(super) fn advance(&mut self) -> Result<Step> {
        loop {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            let moved = match &self.stage {
                Stage::HeaderApart { .. } => self.header_apart()?,
                Stage::Header => self.header()?,
                Stage::Marker(..) => self.marker()?,
                Stage::Between(..) => self.block()?,
                Stage::Inside(..) => self.rows()?,
                Stage::Seeking(..) => self.seek()?,
            };
            if let Some(step) = moved {
                return Ok(step);
            }
        }
    }

    /// Reads the header from the bytes that were asked for, or asks for more.
    fn header_apart(&mut self) -> Result<Option<Step>> {
        let Stage::HeaderApart { wanted, head, resume } = &mut self.stage else { return Ok(None) };
        let there = (*wanted as u64).min(self.size);
        if (head.len() as u64) < there {
            let missing = head.len() as u64..there;
            return Ok(Some(Step::NeedRanges(std::iter::once(missing).collect())));
        }
        let resume = *resume;
        match read_header(head, head.len() as u64 == self.size, &self.projection)? {
            Some((header, length)) if resume.offset >= length as u64 && resume.offset <= self.size => {
                self.stage = Stage::Marker(Box::new(header), resume);
            }
            Some(_) => return Err(changed(resume)),
            None => *wanted *= 4,
        }
        Ok(None)
    }

    fn header(&mut self) -> Result<Option<Step>> {
        let mut wanted = 4096;
        loop {
            if !self.buffer.fill(&mut self.source, wanted)? {
                // What is there may be enough.
                if let Some((header, length)) = read_header(self.buffer.rest(), false, &self.projection)? {
                    self.begin(header, length);
                    return Ok(None);
                }
                return Ok(Some(Step::NeedBytes));
            }
            if let Some((header, length)) = read_header(self.buffer.rest(), self.buffer.ended, &self.projection)? {
                self.begin(header, length);
                return Ok(None);
            }
            wanted = (self.buffer.rest().len() + 1).max(wanted * 2);
        }
    }

    fn begin(&mut self, header: Header, length: usize) {
        self.buffer.advance(length);
        self.stage = Stage::Between(Box::new(header), 0);
    }

    /// Proves that a block begins where reading goes on: the marker stands before it, or behind it where the block before it
    /// was lost for want of its marker.
    fn marker(&mut self) -> Result<Option<Step>> {
        if !self.buffer.fill(&mut self.source, MARKER_BYTES)? {
            return Ok(Some(Step::NeedBytes));
        }
        let Stage::Marker(header, resume) = std::mem::replace(&mut self.stage, Stage::Header) else { return Ok(None) };
        if self.buffer.rest().get(..MARKER_BYTES) != Some(&header.marker) {
            let proven = if self.collects() { self.block_follows(MARKER_BYTES, &header.marker)? } else { Some(false) };
            match proven {
                Some(true) => {}
                Some(false) => return Err(changed(resume)),
                None => {
                    self.stage = Stage::Marker(header, resume);
                    return Ok(Some(Step::NeedBytes));
                }
            }
        }
        self.buffer.advance(MARKER_BYTES);
        self.stage = Stage::Between(header, resume.row);
        Ok(None)
    }

    /// Reads the next block.
    fn block(&mut self) -> Result<Option<Step>> {
        if !self.buffer.fill(&mut self.source, BLOCK_HEAD_BYTES)? {
            return Ok(Some(Step::NeedBytes));
        }
        if self.buffer.rest().is_empty() {
            return self.end().map(Some);
        }
        let (rows, length, head) = match block_head(self.buffer.rest()) {
            Ok(head) => head,
            Err(fault) => return self.lose_place(0, fault),
        };
        let whole = head + length + MARKER_BYTES;
        if whole as u64 > self.roomy.0 {
            self.roomy.0 = whole as u64;
            return Ok(Some(Step::NeedRoom));
        }
        if !self.buffer.fill(&mut self.source, whole)? {
            return Ok(Some(Step::NeedBytes));
        }
        let there = self.buffer.rest().len();
        if there < whole {
            return self.lose_place(rows, truncated().with("byte", self.buffer.offset() + there as u64));
        }
        let Stage::Between(header, done) = std::mem::replace(&mut self.stage, Stage::Header) else { return Ok(None) };
        let stored = &self.buffer.rest()[head..whole];
        if stored[length..] != header.marker {
            return self.lose_marker(header, done, rows, whole);
        }
        if self.skip >= rows && done == 0 {
            self.skip -= rows;
            self.rows += rows;
            self.stage = Stage::Between(header, 0);
            self.buffer.advance(whole);
            return Ok(None);
        }
        let most = self.roomy.1.min(MOST_DECODED_BYTES);
        let caps = Caps { decoded_bytes: most, ..self.limits.caps };
        let decoded = header.codec.decode(&stored[..length], caps).and_then(|data| check_rows(rows, data));
        match decoded {
            Err(fault) if fault.kind() == ErrorKind::TooLarge && most < MOST_DECODED_BYTES => {
                self.roomy.1 = (most * ROOM_GROWS).min(MOST_DECODED_BYTES);
                self.stage = Stage::Between(header, done);
                Ok(Some(Step::NeedRoom))
            }
            Ok(data) => {
                let mut block = Block { offset: self.buffer.offset(), rows, done: 0, data, at: 0, ends: None };
                self.leave_out(&header, &mut block, done)?;
                self.stage = Stage::Inside(header, block);
                self.buffer.advance(whole);
                Ok(None)
            }
            Err(fault) => self.lose_block(header, done, rows, whole, fault),
        }
    }

    /// There is no further block.
    fn end(&self) -> Result<Step> {
        match &self.stage {
            Stage::Between(_, 0) if self.skip == 0 => Ok(Step::Done),
            _ => Err(changed(Resume { offset: self.buffer.offset(), row: self.skip })),
        }
    }

    /// Goes over the rows of a block that were handed over in another run.
    fn leave_out(&mut self, header: &Header, block: &mut Block, done: u64) -> Result<()> {
        let rows = done + std::mem::take(&mut self.skip);
        if rows > block.rows {
            return Err(changed(Resume { offset: block.offset, row: rows }));
        }
        block.at = match walk::Ends::nth(&header.schema, &block.data, rows) {
            // What of it is lost was said.
            _ if rows == block.rows && self.collects() => block.data.len(),
            Some(end) => end,
            None => return Err(changed(Resume { offset: block.offset, row: rows })),
        };
        block.done = rows;
        self.rows += rows;
        Ok(())
    }

    /// Decodes rows of the block, up to a batch. `None` where the block has none left.
    fn rows(&mut self) -> Result<Option<Step>> {
        let Stage::Inside(header, mut block) = std::mem::replace(&mut self.stage, Stage::Header) else {
            return Ok(None);
        };
        let mut rest = Rest { data: header.key_text.clone(), fields: Vec::new() };
        let (mut row_ends, mut lost) = (Vec::new(), Vec::new());
        while block.done < block.rows
            && row_ends.len() + lost.len() < self.limits.batch_rows.max(1)
            && rest.data.len() < self.limits.batch_bytes.max(header.key_text.len() + 1)
        {
            let before = (rest.data.len(), rest.fields.len());
            if let Err((fault, column)) = self.row(&header, &mut block, &mut rest) {
                rest.data.truncate(before.0);
                rest.fields.truncate(before.1);
                if !self.collects() {
                    self.fault = Some(self.fault(&block, fault, &column));
                    break;
                }
                lost.push(self.lose_row(&header, &mut block, fault, &column));
                continue;
            }
            self.rows += 1;
            row_ends.push(rest.fields.len() as u32);
        }
        let finished = block.done == block.rows;
        if finished && block.at != block.data.len() && self.fault.is_none() {
            lost.extend(self.lose_rest(&block));
        }
        let place = self.place(block.offset, block.done);
        if finished {
            // Large blocks are few; others of the size of this one follow where it is near the usual.
            self.roomy = (FREE_BLOCK_BYTES, self.roomy.1.min(FREE_BLOCK_BYTES * ROOM_GROWS));
        }
        self.stage = if finished { Stage::Between(header, 0) } else { Stage::Inside(header, block) };
        if row_ends.is_empty() && lost.is_empty() {
            return Ok(None);
        }
        let rows = JsonRows { data: rest.data, fields: rest.fields, row_ends, ..JsonRows::default() };
        Ok(Some(self.batch(rows, place, lost)))
    }

    pub(super) fn batch(&self, rows: JsonRows, place: Place, lost: Vec<Lost>) -> Step {
        let rejects = lost.into_iter().map(|lost| lost.reject(self.source.plain())).collect();
        let after = Position::new(self.rows, place);
        Step::Batch(Decoded::new(Batch::Json(rows), after, rejects))
    }

    /// The place behind so many rows of the block that begins at `offset`. Behind its last row it is still that block: where
    /// a row of it is refused later, the place before that row can be told from the place behind the batch.
    pub(super) fn place(&self, offset: u64, row: u64) -> Place {
        match self.source.plain() {
            true => Place::Block { offset, row },
            false => Place::RowGroup { group: 0, row: self.rows },
        }
    }

    /// Whether bad rows are gone over.
    pub(super) fn collects(&self) -> bool {
        self.limits.on_bad_row == OnBadRow::Collect
    }

    /// Decodes the next row of a block. An error has the name of its column; the block stays before the row then.
    fn row(&self, header: &Header, block: &mut Block, rest: &mut Rest) -> Result<(), (Fault, String)> {
        let most = rest.data.len().saturating_add(self.limits.row_bytes);
        let AvroOptions { double_as_string, binary_encoding } = self.options;
        let writer = Writer { schema: &header.schema, double_as_string, binary_encoding, most };
        let mut input = Input::new(&block.data, block.at);
        for (field, key) in header.schema.fields().iter().zip(&header.keys) {
            let start = rest.data.len();
            let kind =
                writer.top(field.node, &mut input, &mut rest.data).map_err(|fault| (fault, field.name.clone()))?;
            match key {
                Some(key) => rest.fields.push(member(*key, start, rest.data.len(), kind)),
                None => rest.data.truncate(start),
            }
            if rest.data.len() > most {
                return Err((TOO_LONG, field.name.clone()));
            }
        }
        block.at = input.at();
        block.done += 1;
        Ok(())
    }

    fn fault(&self, block: &Block, fault: Fault, column: &str) -> Error {
        let error = Error::data("a row of the Avro file cannot be read").with("reason", fault).with("column", column);
        let error = error.with("block_byte", block.offset).with("block_row", block.done + 1).with("row", self.rows + 1);
        match fault == TOO_LONG {
            true => error.with("limit_bytes", self.limits.row_bytes),
            false => error,
        }
    }
}

/// A batch in the making.
struct Rest {
    data: Vec<u8>,
    fields: Vec<JsonField>,
}

fn member(key: Span, start: usize, end: usize, kind: JsonKind) -> JsonField {
    JsonField { key, value: Span { start: start as u32, end: end as u32 }, kind }
}

impl Decode for AvroDecoder {
    fn access(&self) -> Access {
        Access::Stream { from: self.source.from() }
    }

    fn step(&mut self) -> Result<Step> {
        self.advance().map_err(|error| error.with("key", &self.key))
    }

    fn feed(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        match &mut self.stage {
            Stage::HeaderApart { head, .. } if offset == head.len() as u64 => {
                head.extend_from_slice(&bytes);
                Ok(())
            }
            Stage::HeaderApart { .. } => Err(Error::internal("the bytes of a header arrived out of order")),
            _ => self.source.feed(offset, bytes),
        }
    }

    fn end_input(&mut self, end: InputEnd) {
        // Of a part nothing more can be said: it asks for bytes again.
        if end == InputEnd::Complete {
            self.source.finish();
        }
    }

    fn held_bytes(&self) -> u64 {
        let (stored, decoded) = self.roomy;
        let beyond = |bytes: u64| if bytes > FREE_BLOCK_BYTES { bytes } else { 0 };
        self.source.window_bytes() + beyond(stored) + beyond(decoded)
    }

    fn columns(&self) -> Option<Vec<InferredColumn>> {
        let (Stage::Marker(header, _)
        | Stage::Between(header, _)
        | Stage::Inside(header, _)
        | Stage::Seeking(header, ..)) = &self.stage
        else {
            return None;
        };
        Some(header.schema.columns(self.options.double_as_string, self.limits.inference))
    }
}

/// The bytes of a block, where they can hold its rows.
pub(super) fn check_rows(rows: u64, data: Vec<u8>) -> Result<Vec<u8>> {
    if rows > data.len() as u64 + ROWS_WITHOUT_BYTES {
        return Err(Error::data("an Avro block declares more rows than it has bytes").with("rows", rows));
    }
    Ok(data)
}

pub(super) fn truncated() -> Error {
    Error::data("the Avro file is truncated: it ends inside a block")
}

/// A position that is not one says that the file is another one: better an error than missing rows.
fn changed(resume: Resume) -> Error {
    let error = Error::new(ErrorKind::Changed, "the position to resume from does not exist in this Avro file");
    refused_position(error.with("block_byte", resume.offset).with("block_row", resume.row))
}

/// Reads a header from a container's first bytes, with its length. `None` where more bytes are needed.
pub(super) fn read_header(bytes: &[u8], all: bool, projection: &Projection) -> Result<Option<(Header, usize)>> {
    let start = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(start) || (all && start.len() < MAGIC.len()) {
        return Err(Error::data("the object is not an Avro file")
            .hint("check the stream's format; only Avro object container files are supported"));
    }
    let mut input = Input::new(bytes, start.len());
    let (metadata, marker) = match header_parts(&mut input) {
        Ok(parts) => parts,
        Err(_) if !all && bytes.len() < MOST_HEADER_BYTES => return Ok(None),
        Err(reason) => return Err(Error::data("the header of the Avro file is damaged").with("reason", reason)),
    };
    let value = |name: &str| metadata.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let schema = value("avro.schema").ok_or_else(|| Error::data("the header of the Avro file has no schema"))?;
    let codec = Codec::of_name(value("avro.codec").unwrap_or(b"null"))?;
    let schema = Schema::read(schema)?;
    let mut key_text = Vec::new();
    let keys = schema.fields().iter().map(|field| {
        let start = key_text.len() as u32 + 1;
        key_text.extend_from_slice(&field.key);
        projection.wants(&field.name).then_some(Span { start, end: start + field.key.len() as u32 - 3 })
    });
    let keys = keys.collect();
    Ok(Some((Header { schema, codec, marker, keys, key_text }, input.at())))
}

type Metadata<'a> = VecDeque<(&'a str, &'a [u8])>;

fn header_parts<'a>(input: &mut Input<'a>) -> Result<(Metadata<'a>, [u8; MARKER_BYTES]), Fault> {
    let mut metadata = VecDeque::new();
    loop {
        let count = input.items()?;
        if count == 0 {
            break;
        }
        for _ in 0..count {
            metadata.push_back((input.text()?, input.bytes()?));
        }
    }
    let mut marker = [0; MARKER_BYTES];
    marker.copy_from_slice(input.take(MARKER_BYTES)?);
    Ok((metadata, marker))
}

/// A block's number of rows and bytes, and how many bytes these two numbers have.
pub(super) fn block_head(bytes: &[u8]) -> Result<(u64, usize, usize)> {
    let mut input = Input::new(bytes, 0);
    let mut number = || {
        let number = input.long();
        number.map_err(|fault| if bytes.len() < BLOCK_HEAD_BYTES { truncated() } else { damaged_head(fault) })
    };
    let (rows, length) = (number()?, number()?);
    let (Ok(rows), Ok(length)) = (u64::try_from(rows), usize::try_from(length)) else {
        return Err(damaged_head("a number is negative"));
    };
    if length > MOST_BLOCK_BYTES {
        return Err(Error::new(ErrorKind::TooLarge, "an Avro block is larger than the limit allows")
            .with("bytes", length)
            .with("limit_bytes", MOST_BLOCK_BYTES)
            .hint("write the file with smaller blocks (sync interval)"));
    }
    Ok((rows, length, input.at()))
}

fn damaged_head(reason: Fault) -> Error {
    Error::data("the Avro file is damaged at the start of a block").with("reason", reason)
}

#[cfg(test)]
mod tests;
