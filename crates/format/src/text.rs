//! What CSV and JSONL share: a growing block of checked text, and the decoder around a splitter.
//!
//! ```text
//!   Source ─ read ─▶ block (about 256 KiB, UTF-8 checked once) ─ Splitter ─▶ rows as spans of the block
//!                      │                                                        │
//!                      └── the row that is not complete yet stays ──            └─▶ the block itself is the batch's data
//! ```
//!
//! A row that does not fit doubles the block until `row_bytes`. Whatever goes wrong (a damaged member, a byte that
//! is not text, a row that is not well formed), the rows before it are handed over first.
//!
//! Where bad rows are collected, the splitters go over those that are not well formed. Bytes that are not text are the
//! block's affair: it puts others in their places, so that the end of their row can be found, gives the splitter only
//! the text before them, and the row that holds them becomes a reject with its bytes as they were.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::compression::{Filled, Source};
use super::csv::CsvSplitter;
use super::decode::{Access, Decode, DecodeLimits, FileFacts, InputEnd, Step};
use super::encoding::{TextEncoding, unfinished_tail};
use super::json_document::DocumentSplitter;
use super::jsonl::JsonSplitter;
use super::resume::{beyond_the_end, foreign_position, refused_position};
use super::split::{Origin, Rejects, Split, Stop, behind_line, count_lines};
use super::transcode::Transcoder;
use bytes::Bytes;
use tollgate_base::batch::{Batch, Decoded, Frame, InferredColumn, InferredType, Place, Position, Reject};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::options::{Compression, OnBadRow};

/// Spans have 32 bits; a row may not come near that.
const MAX_ROW_BYTES: usize = 1 << 30;

const LONG_ROW: &str = "a row is longer than the limit allows";

/// A row up to this length needs no room of its own.
const FREE_ROW_BYTES: usize = 1 << 20;

/// Room that was made for a row beyond that, which is enough for the longest that may be, is kept for so many batches without
/// one: a reader that waits for room lets go of its connection.
const ROOMY_BATCHES: usize = 64;

/// A long row is in memory so many times: in the block, in its line, and on the way between them.
const ROW_COPIES: u64 = 3;

/// Of a row without an end in sight, so much is kept.
const CUT_BYTES: usize = 64 << 10;

/// Rows of several lines that are longer than the limit and are gone over in one file, a line of each: each costs a look
/// at as much text as a row may have.
const LONG_ROWS_AT_MOST: usize = 16;

/// The ways to split text into rows.
pub(crate) enum Splitter {
    Csv(CsvSplitter),
    Json(JsonSplitter),
    Document(DocumentSplitter),
}

impl Splitter {
    fn split(&mut self, text: &mut [u8], ended: bool, origin: Origin, max_rows: usize) -> Split {
        match self {
            Self::Csv(csv) => csv.split(text, ended, origin, max_rows),
            Self::Json(json) => json.split(text, ended, origin, max_rows),
            Self::Document(document) => document.split(text, ended, origin, max_rows),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Csv(csv) => csv.rows(),
            Self::Json(json) => json.found.rows(),
            Self::Document(document) => document.found.rows(),
        }
    }

    fn rejects(&mut self) -> &mut Rejects {
        match self {
            Self::Csv(csv) => csv.rejects(),
            Self::Json(json) => &mut json.found.rejects,
            Self::Document(document) => &mut document.found.rejects,
        }
    }

    /// Whether a bad row can be gone over here.
    fn can_go_over(&mut self) -> bool {
        let in_rows = match self {
            Self::Csv(csv) => csv.in_rows(),
            Self::Json(_) => true,
            // What follows a fault can be inside of anything.
            Self::Document(_) => false,
        };
        in_rows && self.rejects().collect()
    }

    /// The first byte behind the row that `text` begins with and that is at fault at `fault`, and the lines in it; `None`
    /// where its end is not there yet. A row that ends before the fault is a good one.
    fn end_of_row(&self, text: &mut [u8], fault: usize, ended: bool) -> Option<(usize, u64)> {
        match self {
            Self::Csv(csv) => csv.end_of_row(text, ended),
            Self::Json(_) => JsonSplitter::end_of_row(text, fault, ended),
            Self::Document(_) => None,
        }
    }

    fn add_lines(&mut self, lines: u64) {
        match self {
            Self::Csv(csv) => csv.add_lines(lines),
            Self::Json(json) => json.found.line += lines,
            // No row is gone over.
            Self::Document(_) => {}
        }
    }

    fn line(&self) -> u64 {
        match self {
            Self::Csv(csv) => csv.line(),
            Self::Json(json) => json.found.line,
            Self::Document(document) => document.found.line,
        }
    }

    fn columns(&self) -> Option<Arc<[Box<str>]>> {
        match self {
            Self::Csv(csv) => Some(csv.names()),
            Self::Json(_) | Self::Document(_) => None,
        }
    }

    fn take(&mut self, data: Vec<u8>, offset: u64) -> Batch {
        match self {
            Self::Csv(csv) => Batch::Text(csv.take(data, offset)),
            Self::Json(json) => Batch::Json(json.found.take(data, offset)),
            Self::Document(document) => Batch::Json(document.found.take(data, offset)),
        }
    }

    /// More about a row that is longer than the limit.
    fn explain_long_row(&self, text: &mut [u8]) -> Option<&'static str> {
        match self {
            Self::Csv(csv) => csv.explain_long_row(text),
            Self::Json(_) => None,
            Self::Document(_) => Some("an object is one row: if it contains the rows, write them as a separate array"),
        }
    }
}

/// A block of decoded and checked text.
struct Block {
    source: Source,
    /// For text that is not UTF-8 as it stands.
    transcoder: Option<Box<Transcoder>>,
    data: Vec<u8>,
    /// The first byte that is not consumed.
    head: usize,
    /// Bytes of `data` that are checked.
    valid: usize,
    /// Decoded bytes before `data`.
    base: u64,
    /// Decoded bytes still to be dropped before the first row, on resuming.
    skip: u64,
    encoding: TextEncoding,
    /// Whether the configuration can choose another.
    chosen_encoding: bool,
    /// There is no more text behind `data`.
    ended: bool,
    /// What stands behind the checked text instead of an end.
    failure: Option<Error>,
    /// Whether bytes that are no text are replaced; otherwise they are a failure.
    patching: bool,
    /// The replaced bytes, with their places in the decoded text.
    patched: VecDeque<(u64, u8)>,
    /// Rows are known to end here although text follows.
    complete_until: Option<u64>,
}

impl Block {
    /// Makes `wanted` bytes of text available behind `head`, or all there are. Says whether it could.
    fn fill(&mut self, wanted: usize) -> bool {
        if self.ended || self.failure.is_some() || self.valid - self.head >= wanted {
            return true;
        }
        self.data.drain(..self.head);
        self.base += self.head as u64;
        self.valid -= self.head;
        self.head = 0;
        loop {
            // A character may be cut at the target: three bytes more complete it.
            let filled = match &mut self.transcoder {
                Some(transcoder) => transcoder.read(&mut self.source, &mut self.data, wanted + 3),
                None => self.source.read(&mut self.data, wanted + 3),
            };
            self.drop_skipped();
            match filled {
                Ok(Filled::Full) if self.data.len() < wanted + 3 => continue,
                Ok(Filled::NeedBytes) => return false,
                Ok(Filled::End) if self.skip > 0 => self.failure = Some(beyond_the_end(self.base + self.skip)),
                Ok(filled) => self.check(filled == Filled::End),
                Err(failure) => {
                    self.check(false);
                    self.failure.get_or_insert(failure);
                }
            }
            return true;
        }
    }

    fn drop_skipped(&mut self) {
        if self.skip == 0 {
            return;
        }
        let count = self.data.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
        self.data.drain(..count);
        self.skip -= count as u64;
        self.base += count as u64;
    }

    /// Checks the bytes that came since the last check.
    fn check(&mut self, ended: bool) {
        self.strip_mark();
        if let Some(transcoder) = &mut self.transcoder {
            self.valid = self.data.len();
            self.ended = ended;
            let base = self.base;
            self.patched.extend(transcoder.take_patched().filter(|place| *place >= base).map(|place| (place, b'?')));
            return;
        }
        let fresh = &self.data[self.valid..];
        let tail = if ended { 0 } else { unfinished_tail(fresh) };
        let end = fresh.len() - tail;
        let encoding = self.encoding;
        let good = self.encoding.valid_prefix(&fresh[..end]);
        self.valid += good;
        self.ended = ended && (good == end || self.patching);
        if good < end && self.patching {
            let place = self.base + self.valid as u64;
            let faults = encoding.patch(&mut self.data[self.valid..self.valid + end - good]);
            self.patched.extend(faults.into_iter().map(|(at, byte)| (place + at as u64, byte)));
            self.valid += end - good;
        } else if good < end {
            self.failure = Some(encoding.fault((self.base == 0).then_some(&self.data), self.chosen_encoding));
        }
    }

    /// Takes a byte order mark off the text's start.
    fn strip_mark(&mut self) {
        if self.base == 0 && self.valid == 0 && self.data.starts_with(b"\xef\xbb\xbf") {
            self.data.drain(..3);
            self.base = 3;
        }
    }

    /// The text that a splitter may look at.
    fn text(&mut self) -> &mut [u8] {
        let bound = self.complete_until.or(self.patched.front().map(|(place, _)| *place));
        let end = bound.map_or(self.valid, |place| (place - self.base) as usize);
        &mut self.data[self.head..end]
    }

    /// Whether rows end where [`Block::text`] does.
    fn text_ends(&self) -> bool {
        self.complete_until.is_some() || (self.ended && self.patched.is_empty())
    }

    /// All text, that with replaced bytes included.
    fn all_text(&mut self) -> &mut [u8] {
        &mut self.data[self.head..self.valid]
    }

    /// All text but for a CR at its end that may be half of a CRLF.
    fn whole_text(&mut self) -> &mut [u8] {
        let more = !self.ended && self.failure.is_none();
        let text = self.all_text();
        let half = more && text.last() == Some(&b'\r');
        let length = text.len() - usize::from(half);
        &mut text[..length]
    }

    /// Takes a row away, with its bytes as they were; of a long one only the beginning is handed over.
    fn take_raw(&mut self, length: usize, kept: usize) -> Vec<u8> {
        let mut raw = self.data[self.head..self.head + kept.min(length)].to_vec();
        let (start, end) = (self.offset(), self.offset() + length as u64);
        while let Some((place, byte)) = self.patched.pop_front_if(|(place, _)| *place < end) {
            if let Some(replaced) = raw.get_mut((place - start) as usize) {
                *replaced = byte;
            }
        }
        self.head += length;
        raw
    }

    fn offset(&self) -> u64 {
        self.base + self.head as u64
    }

    /// Where reading can begin to get at the text from a decoded offset on.
    fn frame_of(&mut self, offset: u64) -> Option<Frame> {
        match &mut self.transcoder {
            Some(transcoder) => Some(transcoder.frame_of(offset, !self.source.plain())),
            None => self.source.frame_of(offset),
        }
    }

    /// Gives memory back that a long row took.
    fn shrink(&mut self) {
        self.data.drain(..self.head);
        self.base += self.head as u64;
        self.valid -= self.head;
        self.head = 0;
        self.data.shrink_to(2 * self.data.len());
    }

    fn skip_consumed(&mut self, consumed: usize) {
        self.head += consumed;
    }

    /// Hands over the first `consumed` bytes behind `head`: by moving the buffer where what remains is the smaller
    /// part, by copying otherwise. So each byte is copied at most twice, however small batches are.
    fn take(&mut self, consumed: usize, capacity: usize) -> Vec<u8> {
        let end = self.head + consumed;
        if self.head > 0 || self.data.len() - end > consumed {
            let taken = self.data[self.head..end].to_vec();
            self.head = end;
            return taken;
        }
        let mut rest = Vec::with_capacity(capacity.max(self.data.len() - end));
        rest.extend_from_slice(&self.data[end..]);
        self.valid -= end;
        self.base += end as u64;
        let mut taken = std::mem::replace(&mut self.data, rest);
        taken.truncate(end);
        taken
    }
}

/// A decoder of lines: a block, a splitter, and the position.
pub(crate) struct TextDecoder {
    block: Block,
    splitter: Splitter,
    /// Text that must be there before the splitter is asked again.
    wanted: usize,
    rows_done: u64,
    /// Whether the line that is read is the rest of a row that was rejected.
    skipping_line: bool,
    /// Rows of several lines gone over because of their length.
    long_rows: usize,
    /// Whether no more bytes will come although the text goes on: the complete rows of a short block are handed over.
    cut: bool,
    /// What the next step ends with, after the rows before it.
    fault: Option<Error>,
    batch_rows: usize,
    batch_bytes: usize,
    row_bytes: usize,
    /// The length of rows for which there is room.
    roomy_bytes: usize,
    /// Batches since a row needed it.
    usual_batches: usize,
    /// Whether more room is to be made before more text is read.
    wants_room: bool,
    /// Memory that the decompressor will need, as far as that is known from outside.
    expected_bytes: u64,
}

/// Where a text decoder begins.
pub(crate) struct Beginning {
    /// Rows before it.
    pub(crate) rows: u64,
    /// Decoded bytes before it.
    pub(crate) offset: u64,
    /// Where its compressed member begins.
    pub(crate) frame: Frame,
    /// The compression from there on; `Auto` where the bytes there tell it.
    pub(crate) compression: Compression,
}

impl Beginning {
    /// The beginning that a position names. Line and columns in it are the splitter's.
    pub(crate) fn of(resume: Option<&Position>, compression: Compression) -> Result<Self> {
        let Some(position) = resume else {
            return Ok(Self { rows: 0, offset: 0, frame: Frame { stored: 0, decoded: 0 }, compression });
        };
        match &position.place {
            Place::Start => Self::of(None, compression),
            Place::Byte { offset, frame, .. } => {
                let here = Frame { stored: *offset, decoded: *offset };
                let first = Frame { stored: 0, decoded: 0 };
                let (frame, compression) = match (compression, frame) {
                    (compression, Some(frame)) => (*frame, compression),
                    // Where the first bytes told that there is compression, there is a frame.
                    (Compression::None | Compression::Auto, None) => (here, Compression::None),
                    (compression, None) => (first, compression),
                };
                if frame.decoded > *offset {
                    let error = Error::config("a position lies before its compressed member");
                    return Err(refused_position(error.with("offset", offset)));
                }
                Ok(Self { rows: position.rows, offset: *offset, frame, compression })
            }
            Place::Block { .. } | Place::RowGroup { .. } => Err(foreign_position()),
        }
    }
}

impl TextDecoder {
    /// A decoder that hands `splitter` the text from `beginning` on.
    pub(crate) fn new(
        splitter: Splitter,
        encoding: TextEncoding,
        beginning: &Beginning,
        limits: &DecodeLimits,
    ) -> Result<Self> {
        let batch_bytes = limits.batch_bytes.clamp(1, MAX_ROW_BYTES);
        let patching = limits.on_bad_row == OnBadRow::Collect;
        let block = Block {
            source: Source::new(beginning.compression, beginning.frame, limits.caps)?,
            transcoder: (!encoding.is_utf8()).then(|| Box::new(Transcoder::new(encoding, beginning.frame, patching))),
            data: Vec::new(),
            head: 0,
            valid: 0,
            base: beginning.frame.decoded,
            skip: beginning.offset - beginning.frame.decoded,
            encoding,
            chosen_encoding: matches!(splitter, Splitter::Csv(_)),
            ended: false,
            failure: None,
            patching,
            patched: VecDeque::new(),
            complete_until: None,
        };
        Ok(Self {
            block,
            splitter,
            wanted: batch_bytes,
            rows_done: beginning.rows,
            skipping_line: false,
            long_rows: 0,
            cut: false,
            fault: None,
            batch_rows: limits.batch_rows.max(1),
            batch_bytes,
            row_bytes: limits.row_bytes.clamp(batch_bytes, MAX_ROW_BYTES),
            roomy_bytes: FREE_ROW_BYTES.max(batch_bytes),
            usual_batches: 0,
            wants_room: false,
            expected_bytes: 0,
        })
    }

    /// Says how much memory its decompressor will probably need.
    pub(crate) fn expecting(self, expected_bytes: u64) -> Self {
        Self { expected_bytes, ..self }
    }

    fn batch(&mut self, consumed: usize) -> Decoded {
        let begins_at = self.block.offset();
        let data = self.block.take(consumed, self.batch_bytes + 64);
        self.give_room_back();
        let batch = self.splitter.take(data, begins_at);
        let rejects = std::mem::take(&mut self.splitter.rejects().list);
        self.rows_done += batch.rows() as u64;
        let offset = self.block.offset();
        let place = Place::Byte {
            offset,
            line: self.splitter.line(),
            columns: self.splitter.columns(),
            frame: self.block.frame_of(offset),
        };
        Decoded::new(batch, Position::new(self.rows_done, place), rejects)
    }

    /// Behind a long row, what was made room for is not needed any more.
    fn give_room_back(&mut self) {
        let usual = FREE_ROW_BYTES.max(self.batch_bytes);
        if self.roomy_bytes == usual {
            return;
        }
        let short = self.block.all_text().len() < usual;
        self.usual_batches = if short { self.usual_batches + 1 } else { 0 };
        if self.usual_batches == 1 {
            self.block.shrink();
        }
        if self.usual_batches == ROOMY_BATCHES {
            (self.roomy_bytes, self.usual_batches) = (usual, 0);
        }
    }

    /// What to do when the splitter cannot go on with the text there is. `Some` ends the object.
    fn without_rows(&mut self) -> Option<Result<Step>> {
        if self.block.complete_until.take().is_some() {
            return None;
        }
        if let Some(&(place, _)) = self.block.patched.front() {
            return self.go_over_bytes((place - self.block.offset()) as usize);
        }
        if let Some(failure) = self.block.failure.take() {
            return Some(Err(self.place_failure(failure)));
        }
        if self.block.ended {
            return Some(Ok(Step::Done));
        }
        self.want_more()
    }

    /// Asks for more text for a row that is not complete. `Some` ends the object.
    fn want_more(&mut self) -> Option<Result<Step>> {
        let length = self.block.all_text().len();
        if length >= self.row_bytes {
            return self.go_over_long_row().err().map(Err);
        }
        self.wanted = (length * 2).clamp(self.batch_bytes, self.row_bytes);
        if self.wanted > self.roomy_bytes {
            self.roomy_bytes = self.row_bytes;
            self.wants_room = true;
        }
        None
    }

    /// Goes over the next row if it holds the replaced byte at `fault`.
    fn go_over_bytes(&mut self, fault: usize) -> Option<Result<Step>> {
        if !self.splitter.can_go_over() {
            let line = self.splitter.line() + count_lines(self.block.text()) + 1;
            let error = self.block.encoding.fault(None, self.block.chosen_encoding);
            let byte = self.block.offset() + fault as u64;
            return Some(Err(error.with("line", line).with("row", self.rows_done + 1).with("byte", byte)));
        }
        let message = Cow::Owned(format!("a byte is not {} text", self.block.encoding.name()));
        let ended = self.block.ended;
        let Some((length, lines)) = self.splitter.end_of_row(self.block.whole_text(), fault, ended) else {
            return match self.block.failure.take() {
                Some(failure) => Some(Err(self.place_failure(failure))),
                None => self.want_more(),
            };
        };
        if length <= fault {
            self.block.complete_until = Some(self.block.offset() + length as u64);
        } else {
            self.reject(message, length, lines, usize::MAX);
        }
        None
    }

    /// Makes the next `length` bytes a reject. More than `kept` of them are cut.
    fn reject(&mut self, reason: Cow<'static, str>, length: usize, lines: u64, kept: usize) {
        let (line, offset) = (Some(self.splitter.line() + 1), Some(self.block.offset()));
        let raw = self.block.take_raw(length, kept);
        self.splitter.rejects().list.push(Reject {
            line,
            offset,
            row: None,
            reason,
            raw,
            cut: kept < length,
            ..Reject::default()
        });
        self.splitter.add_lines(lines);
    }

    /// Goes over the next line, since its row is longer than any may be.
    fn go_over_long_row(&mut self) -> Result<()> {
        let end = behind_line(self.block.whole_text(), 0);
        self.long_rows += usize::from(end.is_some());
        if !self.splitter.can_go_over() || self.long_rows > LONG_ROWS_AT_MOST {
            return Err(self.long_row());
        }
        self.skipping_line = end.is_none();
        let length = end.unwrap_or(self.block.whole_text().len());
        let kept = if self.skipping_line { CUT_BYTES } else { usize::MAX };
        self.reject(Cow::Borrowed(LONG_ROW), length, u64::from(end.is_some()), kept);
        self.wanted = self.batch_bytes;
        self.give_room_back();
        Ok(())
    }

    /// Drops text up to the end of the line. Whether that was found.
    fn skip_line(&mut self) -> bool {
        let text = self.block.whole_text();
        let (end, length) = (behind_line(text, 0), text.len());
        self.block.take_raw(end.unwrap_or(length), 0);
        self.splitter.add_lines(u64::from(end.is_some()));
        self.skipping_line = end.is_none() && !self.block.ended && self.block.failure.is_none();
        !self.skipping_line
    }

    fn place_failure(&mut self, failure: Error) -> Error {
        let line = self.splitter.line() + count_lines(self.block.text()) + 1;
        let byte = self.block.base + self.block.valid as u64;
        failure.with("line", line).with("row", self.rows_done + 1).with("byte", byte)
    }

    fn long_row(&mut self) -> Error {
        let explanation = self.splitter.explain_long_row(self.block.all_text());
        let origin = Origin { offset: self.block.offset(), rows: self.rows_done };
        let error = Error::new(ErrorKind::Data, LONG_ROW)
            .with("limit_bytes", self.row_bytes)
            .with("line", self.splitter.line() + 1);
        origin.place(error, 0, 0).hint(explanation.unwrap_or("check that the file has the configured format"))
    }
}

impl Decode for TextDecoder {
    fn access(&self) -> Access {
        Access::Stream { from: self.block.source.from() }
    }

    fn step(&mut self) -> Result<Step> {
        loop {
            if let Some(fault) = self.fault.take() {
                return Err(fault);
            }
            if std::mem::take(&mut self.wants_room) {
                return Ok(Step::NeedRoom);
            }
            let short = !self.block.fill(self.wanted);
            if short && !self.cut {
                return Ok(Step::NeedBytes);
            }
            if short {
                self.block.check(false);
                let sound = self.block.failure.is_none() && self.block.patched.is_empty();
                if sound && self.block.all_text().is_empty() {
                    return Ok(Step::NeedBytes);
                }
            }
            if self.skipping_line && !self.skip_line() {
                continue;
            }
            let origin = Origin { offset: self.block.offset(), rows: self.rows_done };
            let ended = self.block.text_ends();
            let split = self.splitter.split(self.block.text(), ended, origin, self.batch_rows);
            let stuck = matches!(split.stop, Stop::More);
            // A batch that is full leaves text behind that was not looked at yet.
            self.wanted = if stuck { self.batch_bytes } else { 0 };
            if let Stop::Fault(fault) = split.stop {
                self.fault = Some(fault);
            }
            if self.splitter.rows() > 0 || self.splitter.rejects().len() > 0 {
                self.block.complete_until = None;
                return Ok(Step::Batch(self.batch(split.consumed)));
            }
            self.block.skip_consumed(split.consumed);
            let before = (self.block.offset(), self.block.complete_until);
            if stuck && let Some(end) = self.without_rows() {
                return end;
            }
            let stays = before == (self.block.offset(), self.block.complete_until);
            if short && stuck && stays && self.splitter.rejects().len() == 0 {
                return Ok(Step::NeedBytes);
            }
        }
    }

    fn feed(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        self.block.source.feed(offset, bytes)
    }

    fn end_input(&mut self, end: InputEnd) {
        match end {
            InputEnd::Complete => self.block.source.finish(),
            InputEnd::Cut => self.cut = true,
        }
    }

    fn columns(&self) -> Option<Vec<InferredColumn>> {
        let Splitter::Csv(csv) = &self.splitter else { return None };
        Some(csv.columns()?.iter().map(|name| InferredColumn::new(&**name, InferredType::Null)).collect())
    }

    fn facts(&self) -> FileFacts {
        let offset_unit = match (&self.block.transcoder, self.block.source.plain()) {
            (Some(_), _) => Some("bytes of the text in UTF-8"),
            (None, false) => Some("bytes of the decompressed text"),
            (None, true) => None,
        };
        FileFacts { offset_unit, ..FileFacts::default() }
    }

    fn held_bytes(&self) -> u64 {
        let roomy = self.roomy_bytes > FREE_ROW_BYTES.max(self.batch_bytes);
        let room = if roomy { self.roomy_bytes as u64 * ROW_COPIES } else { 0 };
        self.block.source.window_bytes().max(self.expected_bytes) + room
    }
}
