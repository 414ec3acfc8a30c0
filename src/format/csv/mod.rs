//! CSV and TSV, with the rules of Python's `csv` module (not strict) over universal line ends, as the connector we
//! replace reads them: CRLF, CR and LF end rows; a quote opens only at the start of a field; what follows a closing
//! quote belongs to the field; blank lines are no rows.
//!
//! Where that connector loses data, this one does not: a byte order mark is no part of the first name, a header may
//! have line breaks inside of quotes, and a quote that is never closed is an error with the line where it opened.

mod header;
mod rows;
mod scan;

use std::sync::Arc;

use bytes::Bytes;

use self::rows::{Rows, Splitter, Stopped};
use super::text::{BLOCK_BYTES, Filled, TextBuffer, not_utf8};
use super::{Access, Decode, DecodeLimits, Step};
use crate::batch::{Batch, Decoded, Place, Position, TextRows};
use crate::error::{Error, ErrorKind, Result};
use crate::format::compression::Decompressor;
use crate::options::{CsvHeader, CsvOptions};

/// See the module's text.
#[derive(Debug)]
pub struct CsvDecoder {
    text: TextBuffer,
    splitter: Splitter,
    options: CsvOptions,
    limits: DecodeLimits,
    stage: Stage,
    columns: Arc<[Box<str>]>,
    /// Columns whose name is empty at the end of the header: their values must be empty.
    unnamed: usize,
    wanted: usize,
    line: u64,
    rows: u64,
    failed: Option<Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    SkipBefore(u64),
    Header,
    SkipAfter(u64),
    Rows,
    Done,
}

/// Where decoding begins.
struct Start {
    offset: u64,
    line: u64,
    rows: u64,
    columns: Arc<[Box<str>]>,
    stage: Stage,
}

impl Start {
    fn of(options: &CsvOptions, resume: Option<&Position>) -> Result<Self> {
        let stage = Stage::SkipBefore(options.skip_rows_before_header);
        match resume.map(|position| (position.rows, &position.place)) {
            None | Some((_, Place::Start)) => Ok(Self { offset: 0, line: 0, rows: 0, columns: Arc::from([]), stage }),
            Some((rows, Place::Byte { offset, line, columns: Some(columns), .. })) => {
                Ok(Self { offset: *offset, line: *line, rows, columns: Arc::clone(columns), stage: Stage::Rows })
            }
            Some(_) => Err(Error::config("the state has a position of another format in this CSV file")
                .hint("reset the stream, or use the format that it was read with before")),
        }
    }
}

impl CsvDecoder {
    /// A decoder that begins at `resume`, or at the start.
    ///
    /// # Errors
    /// `Config` where the position is one of another format.
    pub fn new(
        options: &CsvOptions,
        decompressor: Decompressor,
        resume: Option<&Position>,
        limits: DecodeLimits,
    ) -> Result<Self> {
        super::encoding::check(&options.encoding)?;
        let start = Start::of(options, resume)?;
        Ok(Self {
            text: TextBuffer::new(decompressor, start.offset),
            splitter: Splitter::new(options),
            options: options.clone(),
            limits,
            stage: start.stage,
            columns: start.columns,
            unnamed: 0,
            wanted: BLOCK_BYTES,
            line: start.line,
            rows: start.rows,
            failed: None,
        })
    }

    fn advance(&mut self) -> Result<Step> {
        loop {
            let filled = self.text.fill(self.wanted)?;
            if filled == Filled::Starved {
                return Ok(Step::NeedBytes);
            }
            let end = filled == Filled::End && !self.text.broken();
            let progressed = match self.stage {
                Stage::SkipBefore(0) => self.enter(Stage::Header),
                Stage::SkipAfter(0) => self.enter(Stage::Rows),
                Stage::SkipBefore(_) | Stage::SkipAfter(_) => self.skip_line(end)?,
                Stage::Header => self.read_header(end)?,
                Stage::Rows => match self.read_rows(end)? {
                    Some(batch) => return Ok(Step::Batch(batch)),
                    None => self.stage == Stage::Done,
                },
                Stage::Done => return Ok(Step::Done),
            };
            if !progressed {
                self.want_more(end)?;
            }
        }
    }

    fn enter(&mut self, stage: Stage) -> bool {
        self.stage = stage;
        true
    }

    /// A row is longer than the text at hand.
    fn want_more(&mut self, end: bool) -> Result<()> {
        let have = self.text.text().len();
        if self.text.broken() {
            return Err(not_utf8(self.line + 1, self.text.offset() + have as u64));
        }
        if end {
            return Err(Error::internal("the end of a CSV file was not handled"));
        }
        if have >= self.limits.row_bytes {
            return Err(Error::new(ErrorKind::Data, "a row is longer than the limit")
                .with("line", self.line + 1)
                .with("byte", self.text.offset())
                .with("limit_bytes", self.limits.row_bytes)
                .hint("check the quotes of the file: one that is not closed makes the rest of the file one field"));
        }
        self.wanted = (have * 2).max(BLOCK_BYTES).min(self.limits.row_bytes);
        Ok(())
    }

    /// Leaves one physical line out.
    fn skip_line(&mut self, end: bool) -> Result<bool> {
        let text = self.text.text();
        let length = match scan::line_length(text, end) {
            Some(length) => length,
            None if end => text.len(),
            None => return Ok(false),
        };
        let empty = text.is_empty();
        self.text.discard(length);
        self.line += u64::from(!empty);
        self.stage = match self.stage {
            Stage::SkipBefore(left) if !empty => Stage::SkipBefore(left - 1),
            Stage::SkipAfter(left) if !empty => Stage::SkipAfter(left - 1),
            Stage::SkipBefore(_) => Stage::SkipBefore(0),
            _ => Stage::SkipAfter(0),
        };
        Ok(true)
    }

    fn read_header(&mut self, end: bool) -> Result<bool> {
        if let CsvHeader::UserProvided(names) = &self.options.header {
            self.columns = names.iter().map(|name| name.as_str().into()).collect();
            return Ok(self.enter(Stage::SkipAfter(self.options.skip_rows_after_header)));
        }
        let mut cells = Rows::of_any_width();
        // The splitter changes quoted text in place; the header is read from a copy, since a row that is only
        // partly there is read again.
        let mut copy = self.text.text().to_vec();
        self.splitter.rows(&mut copy, end, &mut cells).map_err(|stopped| self.located(stopped))?;
        if cells.count == 0 {
            if end {
                self.stage = Stage::Done;
            }
            return Ok(end);
        }
        let length = cells.consumed;
        let cells: Vec<&[u8]> = cells.fields.iter().map(|span| span.of(&copy)).collect();
        if self.options.header == CsvHeader::Autogenerated {
            self.columns = (0..cells.len()).map(|index| format!("f{index}").into()).collect();
        } else {
            let named = header::names(&cells).map_err(|error| error.with("line", self.line + 1))?;
            self.unnamed = cells.len() - named.len();
            self.columns = named.into();
            self.line += scan::line_ends(&self.text.text()[..length]);
            self.text.discard(length);
        }
        Ok(self.enter(Stage::SkipAfter(self.options.skip_rows_after_header)))
    }

    fn read_rows(&mut self, end: bool) -> Result<Option<Decoded>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let width = self.columns.len() + self.unnamed;
        let mut rows = Rows::new(width, self.limits.batch_rows, self.options.ignore_errors_on_fields_mismatch);
        let split = self.splitter.rows(self.text.text(), end, &mut rows);
        if let Err(stopped) = split {
            let error = self.located(stopped);
            if rows.count == 0 {
                return Err(error.with("row", self.rows + 1));
            }
            self.failed = Some(error.with("row", self.rows + rows.count as u64 + 1));
        }
        if rows.consumed == 0 {
            if end {
                self.stage = Stage::Done;
            }
            return Ok(None);
        }
        self.wanted = BLOCK_BYTES;
        self.line += rows.lines;
        self.rows += rows.count as u64;
        let consumed = rows.consumed;
        let data = self.text.take(consumed);
        if self.unnamed > 0 {
            self.drop_unnamed(&mut rows, &data)?;
        }
        let place = Place::Byte {
            offset: self.text.offset(),
            line: self.line,
            columns: Some(self.columns.clone()),
            frame: None,
        };
        let batch = TextRows { columns: Arc::clone(&self.columns), data, fields: rows.fields, rows: rows.count };
        Ok(Some(Decoded { batch: Batch::Text(batch), after: Position { rows: self.rows, place } }))
    }

    /// Cells under the header's unnamed end are left out. They must be empty: a value there would be lost.
    fn drop_unnamed(&self, rows: &mut Rows, data: &[u8]) -> Result<()> {
        let named = self.columns.len();
        let mut kept = Vec::with_capacity(rows.count * named);
        for row in rows.fields.chunks_exact(named + self.unnamed) {
            if row[named..].iter().any(|span| span.start < span.end) {
                let at = row.last().map_or(0, |span| span.end as usize).min(data.len());
                return Err(Error::data("a row has a value under an empty column name at the end of the header")
                    .with("byte", self.text.offset() - (data.len() - at) as u64)
                    .hint("give the column a name"));
            }
            kept.extend_from_slice(&row[..named]);
        }
        rows.fields = kept;
        Ok(())
    }

    fn located(&self, stopped: Stopped) -> Error {
        stopped.error(self.line, self.text.offset())
    }
}

impl Decode for CsvDecoder {
    fn access(&self) -> Access {
        Access::Stream { from: self.text.feed_from() }
    }

    fn step(&mut self) -> Result<Step> {
        self.advance()
    }

    fn feed(&mut self, _offset: u64, bytes: Bytes) -> Result<()> {
        self.text.feed(bytes);
        Ok(())
    }

    fn finish(&mut self) {
        self.text.finish();
    }
}
