//! Excel workbooks (xlsx and xlsb) → JSON rows: the first sheet.
//!
//! ```text
//!   the whole object ─▶ size check ─▶ calamine: cell by cell ─▶ rows as JSON ─▶ batches, one at a time
//! ```
//!
//! A workbook is a zip archive whose directory is at its end and whose texts are apart from its cells, so it is held as
//! a whole: [`MOST_BYTES`] at most, and its texts. Calamine cannot be left in the middle of a sheet, so it runs in a thread
//! of its own, which waits while the batch before the last one is not taken. A position counts rows; going on reads again.
//!
//! Values are those of `airbyte/source-s3`, which reads with pandas: the first row that has a cell names the columns
//! (`Unnamed: 3` where a name is missing, `a.1` for the second `a`), an empty cell, an error and a text such as `NA` are
//! null, a row without cells is a record without values. Where pandas changes values by what else is in their column they
//! stay as they are here: whole numbers have no fraction, numbers keep their digits, truth values are not made numbers
//! beside empty cells, and texts of digits stay texts.

mod limits;
mod parts;

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use bytes::Bytes;
use calamine::{Cell, DataRef, ExcelDateTime, Reader, Xlsb, Xlsx};

use self::limits::{
    FREE_BYTES, MOST_BYTES, MOST_CELL_BYTES, MOST_COLUMNS, MOST_PART_BYTES, MOST_ROWS, MOST_TEXT_BYTES,
    MOST_UNPACKED_BYTES, TEXT_BYTES, damaged, too_large,
};
use self::parts::Scan;
use super::compression::{Filled, Source};
use super::decode::{Access, Decode, DecodeLimits, InputEnd, Step};
use super::quiet::caught;
use super::resume::{foreign_position, refused_position};
use tollgate_base::batch::{
    Batch, Decoded, Frame, InferredColumn, InferredType, JsonField, JsonKind, JsonRows, Place, Position, Span,
};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::json_string::write_string;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, Projection};

/// Texts that pandas takes for null.
const NULLS: &[&str] = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// A decoder of one workbook.
pub(crate) struct ExcelDecoder {
    key: Arc<str>,
    projection: Projection,
    limits: DecodeLimits,
    source: Source,
    bytes: Vec<u8>,
    /// Rows handed over, or left out on resuming.
    rows: u64,
    skip: u64,
    /// Bytes of the workbook, and of its texts, for which there is room.
    roomy: (u64, u64),
    sheet: Sheet,
}

/// How far a sheet is.
enum Sheet {
    /// The workbook is being fetched.
    Awaited,
    /// All of it is there, and was found small enough.
    Checked(Bytes),
    /// Its rows are being made.
    Made(Receiver<Made>),
    /// All rows were handed over; they have these columns.
    Done(Vec<InferredColumn>),
}

/// What comes out of a sheet, in this order.
enum Made {
    Rows(JsonRows),
    End(Result<Vec<InferredColumn>>),
}

impl ExcelDecoder {
    /// A decoder of `object` that begins behind `resume`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when `resume` is a position of another format, [`ErrorKind::TooLarge`] when the workbook is too
    /// large.
    pub(crate) fn new(
        compression: Compression,
        projection: &Projection,
        object: &ObjectFacts,
        resume: Option<&Position>,
        limits: &DecodeLimits,
    ) -> Result<Self> {
        let skip = match resume.map(|position| &position.place) {
            None | Some(Place::Start) => 0,
            Some(Place::RowGroup { group: 0, row }) => *row,
            Some(_) => return Err(foreign_position()),
        };
        if object.size > MOST_BYTES as u64 {
            return Err(too_large("size_bytes", object.size, MOST_BYTES as u64).with("key", &object.key));
        }
        // The first bytes of a workbook are those of a zip archive, which it is not for a reader.
        let compression = if compression == Compression::Auto { Compression::None } else { compression };
        Ok(Self {
            key: Arc::clone(&object.key),
            projection: projection.clone(),
            limits: *limits,
            source: Source::new(compression, Frame { stored: 0, decoded: 0 }, limits.caps)?,
            bytes: Vec::new(),
            rows: 0,
            skip,
            roomy: (object.size.max(FREE_BYTES), 0),
            sheet: Sheet::Awaited,
        })
    }

    fn advance(&mut self) -> Result<Step> {
        loop {
            match std::mem::replace(&mut self.sheet, Sheet::Awaited) {
                Sheet::Awaited => {
                    if let Some(step) = self.load()? {
                        return Ok(step);
                    }
                    let bytes = Bytes::from(std::mem::take(&mut self.bytes));
                    self.roomy.1 = caught(|| check_unpacked(&bytes)).unwrap_or_else(|panic| Err(gave_up(panic)))?;
                    self.sheet = Sheet::Checked(bytes);
                    return Ok(Step::NeedRoom);
                }
                Sheet::Checked(bytes) => {
                    self.rows = self.skip;
                    self.sheet = Sheet::Made(make(bytes, &self.projection, &self.limits, self.skip)?);
                }
                Sheet::Made(made) => match made.recv() {
                    Ok(Made::Rows(rows)) => {
                        self.sheet = Sheet::Made(made);
                        self.rows += rows.row_ends.len() as u64;
                        let after = Position::new(self.rows, Place::RowGroup { group: 0, row: self.rows });
                        return Ok(Step::Batch(Decoded::new(Batch::Json(rows), after, Vec::new())));
                    }
                    Ok(Made::End(ended)) => self.sheet = Sheet::Done(ended?),
                    Err(_) => return Err(Error::internal("the thread of a sheet ended without a result")),
                },
                Sheet::Done(columns) => {
                    self.sheet = Sheet::Done(columns);
                    return Ok(Step::Done);
                }
            }
        }
    }

    /// `None` when the whole object is here.
    fn load(&mut self) -> Result<Option<Step>> {
        loop {
            if self.bytes.len() as u64 >= self.roomy.0 {
                self.roomy.0 = (self.roomy.0 * 4).min(MOST_BYTES as u64 + 1);
                return Ok(Some(Step::NeedRoom));
            }
            let target = (self.bytes.len() + (1 << 20)).min(MOST_BYTES + 1);
            match self.source.read(&mut self.bytes, target)? {
                Filled::End => return Ok(None),
                Filled::NeedBytes => return Ok(Some(Step::NeedBytes)),
                Filled::Full if self.bytes.len() > MOST_BYTES => {
                    return Err(too_large("decoded_bytes", self.bytes.len() as u64, MOST_BYTES as u64));
                }
                Filled::Full => {}
            }
        }
    }
}

impl Decode for ExcelDecoder {
    fn access(&self) -> Access {
        Access::Stream { from: 0 }
    }

    fn step(&mut self) -> Result<Step> {
        self.advance().map_err(|error| error.with("key", &self.key))
    }

    fn feed(&mut self, offset: u64, bytes: Bytes) -> Result<()> {
        self.source.feed(offset, bytes)
    }

    fn end_input(&mut self, end: InputEnd) {
        // Of a part nothing more can be said: it asks for bytes again.
        if end == InputEnd::Complete {
            self.source.finish();
        }
    }

    fn columns(&self) -> Option<Vec<InferredColumn>> {
        let Sheet::Done(columns) = &self.sheet else { return None };
        Some(columns.clone())
    }

    fn held_bytes(&self) -> u64 {
        let (stored, texts) = self.roomy;
        if stored + texts > FREE_BYTES { stored + texts } else { 0 }
    }
}

/// Begins to make the rows of the first sheet. The thread ends when nobody takes them any more. Calamine may panic where
/// bytes are not what they promise; for us that is a data error.
fn make(bytes: Bytes, projection: &Projection, limits: &DecodeLimits, skip: u64) -> Result<Receiver<Made>> {
    let (sender, receiver) = sync_channel(1);
    let mut rows = SheetRows::new(projection, limits, skip, sender.clone());
    let read = move || {
        first_sheet(bytes, &mut rows)?;
        rows.finish()
    };
    let run = move || {
        let ended = caught(read).unwrap_or_else(|panic| Err(gave_up(panic)));
        _ = sender.send(Made::End(ended));
    };
    let begun = std::thread::Builder::new().name("sheet".to_owned()).spawn(run);
    begun.map_err(|error| Error::internal("the thread for a sheet cannot be started").caused_by(error))?;
    Ok(receiver)
}

fn gave_up(panic: String) -> Error {
    damaged("the library that reads it failed").caused_by(panic)
}

/// Unpacks everything once and keeps nothing: what a directory says of sizes may be wrong. Gives the bytes that the shared
/// texts will take.
fn check_unpacked(bytes: &Bytes) -> Result<u64> {
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Err(Error::new(ErrorKind::Unsupported, "the workbook has the old format xls, or a password")
            .hint("save it as xlsx, without a password"));
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes.clone())).map_err(damaged)?;
    let (mut total, mut text_bytes, mut part_bytes) = (0, 0, 0);
    let binary = archive.file_names().any(|name| name.replace('\\', "/").eq_ignore_ascii_case("xl/workbook.bin"));
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(damaged)?;
        let mut block = [0; 16 << 10];
        let name = file.name().to_ascii_lowercase();
        let (sheet, texts, xml) =
            (name.contains("worksheets/"), name.contains("sharedstrings"), name.ends_with(".xml"));
        // Bytes since the last tag.
        let mut run = 0;
        let mut scan = Scan::of(&name, binary);
        loop {
            let count = file.read(&mut block).map_err(damaged)?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > MOST_UNPACKED_BYTES {
                return Err(too_large("unpacked_bytes", total, MOST_UNPACKED_BYTES));
            }
            let block = &block[..count];
            scan.add(block)?;
            if texts {
                // In xlsb each text has eight bytes around it at least.
                let count_of_texts = if xml { memchr::memchr_iter(b'<', block).count() / 4 } else { count / 8 };
                text_bytes += count as u64 + count_of_texts as u64 * TEXT_BYTES;
            } else if !sheet {
                part_bytes += count as u64;
            }
            if xml {
                let last = memchr::memrchr(b'<', block);
                let first = memchr::memchr(b'<', block).unwrap_or(count);
                run = last.map_or(run + count as u64, |last| (count - last) as u64).max(run + first as u64);
                if run > MOST_CELL_BYTES + (16 << 10) {
                    return Err(too_large("text_bytes", run, MOST_CELL_BYTES));
                }
                run = last.map_or(run, |last| (count - last) as u64);
            }
            if text_bytes > MOST_TEXT_BYTES {
                return Err(too_large("shared_text_bytes", text_bytes, MOST_TEXT_BYTES));
            }
            if part_bytes > MOST_PART_BYTES {
                return Err(too_large("other_part_bytes", part_bytes, MOST_PART_BYTES));
            }
        }
    }
    Ok(text_bytes)
}

fn first_sheet(bytes: Bytes, rows: &mut SheetRows) -> Result<()> {
    match Xlsx::new(Cursor::new(bytes.clone())) {
        Ok(mut workbook) => {
            let Some(name) = workbook.sheet_names().first().cloned() else { return Ok(()) };
            let mut cells = workbook.worksheet_cells_reader(&name).map_err(damaged)?;
            while let Some(cell) = cells.next_cell().map_err(damaged)? {
                rows.add(&cell)?;
            }
        }
        Err(reason) => {
            let Ok(mut workbook) = Xlsb::new(Cursor::new(bytes)) else { return Err(damaged(reason)) };
            let Some(name) = workbook.sheet_names().first().cloned() else { return Ok(()) };
            let mut cells = workbook.worksheet_cells_reader(&name).map_err(damaged)?;
            while let Some(cell) = cells.next_cell().map_err(damaged)? {
                rows.add(&cell)?;
            }
        }
    }
    Ok(())
}

/// A column of the sheet.
#[derive(Debug)]
struct Column {
    name: String,
    wanted: bool,
    kind: InferredType,
    /// Its name in the data of the batch in the making, once it is there.
    key: Option<Span>,
}

/// Rows in the making, cell by cell.
struct SheetRows {
    projection: Projection,
    batch_rows: usize,
    batch_bytes: usize,
    row_bytes: usize,
    skip: u64,
    columns: Vec<Column>,
    names: HashMap<String, usize>,
    /// The row that names the columns, once it is there.
    header: Option<u32>,
    /// The names in the header, until it is complete.
    titles: Vec<Option<String>>,
    /// The row in the making.
    row: u32,
    row_start: usize,
    batch: JsonRows,
    made: SyncSender<Made>,
}

impl SheetRows {
    fn new(projection: &Projection, limits: &DecodeLimits, skip: u64, made: SyncSender<Made>) -> Self {
        Self {
            projection: projection.clone(),
            batch_rows: limits.batch_rows.max(1),
            batch_bytes: limits.batch_bytes,
            row_bytes: limits.row_bytes,
            skip,
            columns: Vec::new(),
            names: HashMap::new(),
            header: None,
            titles: Vec::new(),
            row: 0,
            row_start: 0,
            batch: JsonRows::default(),
            made,
        }
    }

    fn add(&mut self, cell: &Cell<DataRef<'_>>) -> Result<()> {
        let (row, column) = cell.get_position();
        if matches!(cell.get_value(), DataRef::Empty) {
            return Ok(());
        }
        if row >= MOST_ROWS {
            return Err(damaged("a cell is in a row beyond the last one")
                .with("row", u64::from(row) + 1)
                .with("limit_rows", MOST_ROWS));
        }
        if column >= MOST_COLUMNS {
            return Err(damaged("a cell is in a column beyond the last one").with("row", u64::from(row) + 1));
        }
        let header = *self.header.get_or_insert(row);
        if row < self.row.max(header) {
            return Err(damaged("its rows are not in order").with("row", u64::from(row) + 1));
        }
        if row == header {
            self.row = row;
            let at = column as usize;
            self.titles.resize(self.titles.len().max(at + 1), None);
            self.titles[at] = Some(title(cell.get_value()));
            return Ok(());
        }
        while self.row < row {
            self.end_row()?;
            self.row += 1;
        }
        self.value(column as usize, cell.get_value())
    }

    /// Ends the row in the making: the header, or a record, which may have no values.
    fn end_row(&mut self) -> Result<()> {
        if Some(self.row) == self.header {
            for title in std::mem::take(&mut self.titles) {
                self.add_column(title);
            }
            return Ok(());
        }
        if self.skip > 0 {
            self.skip -= 1;
            self.batch = JsonRows::default();
            self.columns.iter_mut().for_each(|column| column.key = None);
            return Ok(());
        }
        self.batch.row_ends.push(self.batch.fields.len() as u32);
        self.check_row()?;
        self.row_start = self.batch.data.len();
        if self.batch.row_ends.len() >= self.batch_rows || self.batch.data.len() >= self.batch_bytes {
            self.end_batch()?;
        }
        Ok(())
    }

    fn check_row(&self) -> Result<()> {
        if self.batch.data.len().saturating_sub(self.row_start) <= self.row_bytes {
            return Ok(());
        }
        Err(Error::data("a row is longer than the limit allows")
            .with("limit_bytes", self.row_bytes)
            .with("row", u64::from(self.row) + 1))
    }

    fn end_batch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if !batch.row_ends.is_empty() && self.made.send(Made::Rows(batch)).is_err() {
            return Err(Error::internal("the reader of a sheet has stopped"));
        }
        self.row_start = 0;
        self.columns.iter_mut().for_each(|column| column.key = None);
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<InferredColumn>> {
        if self.header.is_some() {
            self.end_row()?;
        }
        self.end_batch()?;
        if self.skip > 0 {
            let error = Error::new(ErrorKind::Changed, "the position to resume from is after the end of the sheet");
            return Err(refused_position(error.with("missing_rows", self.skip)));
        }
        let columns = self.columns.into_iter().map(|column| InferredColumn::new(column.name, column.kind));
        Ok(columns.collect())
    }

    /// Adds the next column, under a name that no other has.
    fn add_column(&mut self, title: Option<String>) {
        let title = title.unwrap_or_else(|| format!("Unnamed: {}", self.columns.len()));
        let mut name = title.clone();
        while self.names.contains_key(&name) {
            let count = self.names.entry(title.clone()).or_insert(0);
            *count += 1;
            name = format!("{title}.{count}");
        }
        self.names.insert(name.clone(), 0);
        let wanted = self.projection.wants(&name);
        self.columns.push(Column { name, wanted, kind: InferredType::Null, key: None });
    }

    fn value(&mut self, column: usize, value: &DataRef<'_>) -> Result<()> {
        while self.columns.len() <= column {
            self.add_column(None);
        }
        self.check_row()?;
        let column = &mut self.columns[column];
        let data = &mut self.batch.data;
        if u32::try_from(data.len()).is_err() {
            return Err(too_large("row_bytes", data.len() as u64, MOST_UNPACKED_BYTES));
        }
        let start = data.len();
        let Some((kind, inferred)) = write_value(value, data) else { return Ok(()) };
        column.kind = column.kind.merge(inferred);
        if !column.wanted {
            data.truncate(start);
            return Ok(());
        }
        let end = data.len();
        let key = *column.key.get_or_insert_with(|| {
            let start = data.len() as u32 + 1;
            write_string(&column.name, data);
            Span { start, end: data.len() as u32 - 1 }
        });
        let value = Span { start: start as u32, end: end as u32 };
        self.batch.fields.push(JsonField { key, value, kind });
        Ok(())
    }
}

/// The name of a column that a cell gives.
fn title(value: &DataRef<'_>) -> String {
    match value {
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::String(text) => text.clone(),
        DataRef::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        other => {
            let mut text = Vec::new();
            _ = write_value(other, &mut text);
            String::from_utf8_lossy(&text).trim_matches('"').to_owned()
        }
    }
}

/// Writes the JSON text of a cell. `None`, and nothing written, where it is null.
fn write_value(value: &DataRef<'_>, out: &mut Vec<u8>) -> Option<(JsonKind, InferredType)> {
    let text = |text: &str, out: &mut Vec<u8>| {
        if NULLS.contains(&text) {
            return None;
        }
        write_string(text, out);
        Some((JsonKind::String, InferredType::String))
    };
    match value {
        DataRef::Empty | DataRef::Error(_) => None,
        DataRef::SharedString(shared) => text(shared, out),
        DataRef::String(own) => text(own, out),
        DataRef::DateTimeIso(own) | DataRef::DurationIso(own) => text(own, out),
        DataRef::Bool(value) => {
            out.extend_from_slice(if *value { b"true" } else { b"false" });
            Some((JsonKind::Boolean, InferredType::Boolean))
        }
        DataRef::Int(value) => {
            out.extend_from_slice(itoa::Buffer::new().format(*value).as_bytes());
            Some((JsonKind::Integer, InferredType::Number))
        }
        DataRef::Float(value) => write_number(*value, out),
        DataRef::DateTime(value) => write_moment(value, out),
    }
}

fn write_number(value: f64, out: &mut Vec<u8>) -> Option<(JsonKind, InferredType)> {
    /// Whole numbers up to here have all their digits in a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !value.is_finite() {
        return None;
    }
    if value.fract() == 0.0 && value.abs() < EXACT {
        out.extend_from_slice(itoa::Buffer::new().format(value as i64).as_bytes());
        return Some((JsonKind::Integer, InferredType::Number));
    }
    out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    Some((JsonKind::Number, InferredType::Number))
}

/// Cells with the format of a date, a time or a duration: days, as a number.
fn write_moment(value: &ExcelDateTime, out: &mut Vec<u8>) -> Option<(JsonKind, InferredType)> {
    let days = value.as_f64();
    if !days.is_finite() {
        return None;
    }
    let (text, kind) = if value.is_duration() {
        (duration(days), InferredType::String)
    } else {
        let (year, month, day, hour, minute, second, milli) = value.to_ymd_hms_milli();
        let clock = format!("{hour:02}:{minute:02}:{second:02}");
        if (0.0..1.0).contains(&days) {
            let fraction = if milli == 0 { String::new() } else { format!(".{milli:03}000") };
            (format!("{clock}{fraction}"), InferredType::String)
        } else {
            (format!("{year:04}-{month:02}-{day:02}T{clock}.{milli:03}000"), InferredType::Timestamp)
        }
    };
    write_string(&text, out);
    Some((JsonKind::String, kind))
}

/// `P1DT2H0M1S`, as pandas writes it.
fn duration(days: f64) -> String {
    let millis = (days * 86_400_000.0).round() as i64;
    let (seconds, milli) = (millis.div_euclid(1000), millis.rem_euclid(1000));
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let fraction = if milli == 0 { String::new() } else { format!(".{milli:03}000") };
    format!("P{days}DT{}H{}M{}{fraction}S", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests;
