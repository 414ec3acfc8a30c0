//! Excel workbooks (xlsx and xlsb) → JSON rows: the first sheet.
//!
//! ```text
//!   the whole object ─▶ size check ─▶ calamine: cell by cell ─▶ rows as JSON ─▶ batches
//! ```
//!
//! A workbook is a zip archive whose directory is at its end and whose texts are apart from its cells, so it is held as
//! a whole: [`MOST_BYTES`] at most, and all rows are made at once. A position counts rows; going on reads again.
//!
//! Values are those of `airbyte/source-s3`, which reads with pandas: the first row that has a cell names the columns
//! (`Unnamed: 3` where a name is missing, `a.1` for the second `a`), an empty cell, an error and a text such as `NA` are
//! null, a row without cells is a record without values. Where pandas changes values by what else is in their column they
//! stay as they are here: whole numbers have no fraction, numbers keep their digits, truth values are not made numbers
//! beside empty cells, and texts of digits stay texts.

use std::collections::{HashMap, VecDeque};
use std::io::{Cursor, Read};
use std::sync::Arc;

use bytes::Bytes;
use calamine::{Cell, DataRef, ExcelDateTime, Reader, Xlsb, Xlsx};

use super::compression::{Filled, Source};
use super::quiet::caught;
use super::text::{foreign_position, refused_position};
use super::{Access, Decode, DecodeLimits, Step};
use tollgate_base::batch::{
    Batch, Decoded, Frame, InferredColumn, InferredType, JsonField, JsonKind, JsonRows, Place, Position, Span,
};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::json_string::write_string;
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{Compression, InferenceDepth, Projection};

/// Bytes of a workbook at most.
pub(crate) const MOST_BYTES: usize = 64 << 20;
/// Bytes of the files in a workbook at most, and of the rows that are made of them.
const MOST_UNPACKED_BYTES: u64 = 512 << 20;
/// Columns of a sheet at most: as many as Excel has.
const MOST_COLUMNS: u32 = 16_384;
/// A workbook in memory is about so many times as large as stored.
const MEMORY_RATIO: u64 = 8;

/// Texts that pandas takes for null.
const NULLS: &[&str] = &[
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
];

/// A decoder of one workbook.
pub(crate) struct ExcelDecoder {
    key: Arc<str>,
    size: u64,
    projection: Projection,
    limits: DecodeLimits,
    source: Source,
    bytes: Vec<u8>,
    /// Rows handed over, or left out on resuming.
    rows: u64,
    skip: u64,
    sheet: Option<Sheet>,
}

/// What a sheet came to.
#[derive(Debug, Default)]
struct Sheet {
    batches: VecDeque<JsonRows>,
    columns: Vec<InferredColumn>,
}

impl ExcelDecoder {
    /// A decoder of `object` that begins behind `resume`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when `resume` is a position of another format, [`ErrorKind::Limit`] when the workbook is too
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
            size: object.size,
            projection: projection.clone(),
            limits: *limits,
            source: Source::new(compression, Frame { stored: 0, decoded: 0 }, limits.caps)?,
            bytes: Vec::new(),
            rows: 0,
            skip,
            sheet: None,
        })
    }

    fn advance(&mut self) -> Result<Step> {
        if self.sheet.is_none() {
            if !self.load()? {
                return Ok(Step::NeedBytes);
            }
            let bytes = std::mem::take(&mut self.bytes);
            self.sheet = Some(read_sheet(bytes, &self.projection, &self.limits, self.skip)?);
            self.rows = self.skip;
        }
        let next = self.sheet.as_mut().and_then(|sheet| sheet.batches.pop_front());
        let Some(rows) = next else { return Ok(Step::Done) };
        self.rows += rows.row_ends.len() as u64;
        let after = Position::new(self.rows, Place::RowGroup { group: 0, row: self.rows });
        Ok(Step::Batch(Decoded::new(Batch::Json(rows), after, Vec::new())))
    }

    /// Whether the whole object is here.
    fn load(&mut self) -> Result<bool> {
        loop {
            let target = (self.bytes.len() + (1 << 20)).min(MOST_BYTES + 1);
            match self.source.read(&mut self.bytes, target)? {
                Filled::End => return Ok(true),
                Filled::NeedBytes => return Ok(false),
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

    fn finish(&mut self) {
        self.source.finish();
    }

    fn columns(&self, _: InferenceDepth) -> Option<Vec<InferredColumn>> {
        self.sheet.as_ref().map(|sheet| sheet.columns.clone())
    }

    fn held_bytes(&self) -> u64 {
        self.size * MEMORY_RATIO
    }
}

fn too_large(name: &'static str, bytes: u64, limit: u64) -> Error {
    Error::new(ErrorKind::Limit, "the workbook is larger than the limit allows")
        .with(name, bytes)
        .with("limit_bytes", limit)
        .hint("a workbook is held in memory as a whole; save large tables as CSV or Parquet")
}

/// Reads the first sheet. Calamine may panic where bytes are not what they promise; for us that is a data error.
fn read_sheet(bytes: Vec<u8>, projection: &Projection, limits: &DecodeLimits, skip: u64) -> Result<Sheet> {
    let read = || {
        let bytes = Bytes::from(bytes);
        check_unpacked(&bytes)?;
        let mut rows = SheetRows::new(projection, limits, skip);
        first_sheet(bytes, &mut rows)?;
        rows.finish()
    };
    caught(read).unwrap_or_else(|panic| Err(damaged("the library that reads it gave up").caused_by(panic)))
}

fn damaged(reason: impl ToString) -> Error {
    Error::data("the object is not an Excel workbook, or a damaged one")
        .with("reason", reason.to_string())
        .hint("check the stream's format; xlsx and xlsb are read")
}

/// Unpacks everything once and keeps nothing: what a directory says of sizes may be wrong.
fn check_unpacked(bytes: &Bytes) -> Result<()> {
    if bytes.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Err(Error::new(ErrorKind::Unsupported, "the workbook has the old format xls, or a password")
            .hint("save it as xlsx, without a password"));
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes.clone())).map_err(damaged)?;
    let mut total = 0;
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(damaged)?;
        let mut block = [0; 16 << 10];
        loop {
            let count = file.read(&mut block).map_err(damaged)?;
            if count == 0 {
                break;
            }
            total += count as u64;
            if total > MOST_UNPACKED_BYTES {
                return Err(too_large("unpacked_bytes", total, MOST_UNPACKED_BYTES));
            }
        }
    }
    Ok(())
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
    batches: VecDeque<JsonRows>,
    bytes: u64,
}

impl SheetRows {
    fn new(projection: &Projection, limits: &DecodeLimits, skip: u64) -> Self {
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
            batches: VecDeque::new(),
            bytes: 0,
        }
    }

    fn add(&mut self, cell: &Cell<DataRef<'_>>) -> Result<()> {
        let (row, column) = cell.get_position();
        if matches!(cell.get_value(), DataRef::Empty) {
            return Ok(());
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
        if self.batch.data.len() - self.row_start.min(self.batch.data.len()) > self.row_bytes {
            return Err(Error::data("a row is longer than the limit allows")
                .with("limit_bytes", self.row_bytes)
                .with("row", u64::from(self.row) + 1));
        }
        self.row_start = self.batch.data.len();
        if self.batch.row_ends.len() >= self.batch_rows || self.batch.data.len() >= self.batch_bytes {
            self.end_batch()?;
        }
        Ok(())
    }

    fn end_batch(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        self.bytes += (batch.data.len() + batch.fields.len() * size_of::<JsonField>()) as u64;
        if self.bytes > MOST_UNPACKED_BYTES {
            return Err(too_large("row_bytes", self.bytes, MOST_UNPACKED_BYTES));
        }
        if !batch.row_ends.is_empty() {
            self.batches.push_back(batch);
        }
        self.row_start = 0;
        self.columns.iter_mut().for_each(|column| column.key = None);
        Ok(())
    }

    fn finish(mut self) -> Result<Sheet> {
        if self.header.is_some() {
            self.end_row()?;
        }
        self.end_batch()?;
        if self.skip > 0 {
            let error = Error::new(ErrorKind::Changed, "the position to resume from lies behind the end of the sheet");
            return Err(refused_position(error.with("missing_rows", self.skip)));
        }
        let columns = self.columns.into_iter().map(|column| InferredColumn::new(column.name, column.kind));
        Ok(Sheet { batches: self.batches, columns: columns.collect() })
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
