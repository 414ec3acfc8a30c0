//! CPU time of CSV and JSONL → record lines and → Arrow, from memory, on one thread.
//!
//! `cargo bench --bench text -- FILE…` decodes and encodes each file (`.csv`, `.jsonl`, with or without `.gz`) five
//! times for each catalog, into one output buffer, and prints the fastest run. A compressed file is also measured
//! decompressed. Times are CPU times of the thread where `/proc` tells them, else wall-clock times.
//!
//! Catalogs: `all` has no columns listed, `strings` lists every column as a string, `typed` lists the columns of the
//! benchmark data with their types. `arrow s` and `arrow t` make Arrow columns of the latter two instead of lines.
#![expect(clippy::print_stdout, reason = "a bench prints its results")]

use std::io::Read as _;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use tollgate_base::batch::Batch;
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::{Compression, CsvOptions, FormatOptions};
use tollgate_base::schema::{Column, ColumnType, Columns};
use tollgate_format::{InputEnd, OpenOptions, Step};
use tollgate_record::{ArrowOptions, EncodeOptions, FileEncoder, StreamEncoder, Validation, to_arrow};

/// Stored bytes per feed, as a body's pieces come.
const PIECE_BYTES: usize = 64 << 10;
const RUNS: usize = 5;

/// What one run took, in nanoseconds.
#[derive(Default, Clone, Copy)]
struct Run {
    decode: u64,
    encode: u64,
    rows: u64,
    output_bytes: u64,
}

fn main() -> Result<()> {
    let files: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if files.is_empty() {
        println!("usage: cargo bench --bench text -- FILE.csv FILE.jsonl.gz …");
    } else {
        println!("s = CPU seconds per million rows; MB/s = text in, and lines out, per CPU second of both");
        println!("file                    catalog       rows  decode s  encode s   total s   in MB/s  out MB/s");
    }
    for path in files {
        let stored = std::fs::read(&path).with_context(|| path.clone())?;
        let name = path.rsplit('/').next().unwrap_or(&path);
        let Some(plain) = name.strip_suffix(".gz") else {
            measure(name, name, Compression::None, stored.len(), &stored.into())?;
            continue;
        };
        let mut text = Vec::new();
        flate2::read::MultiGzDecoder::new(&*stored).read_to_end(&mut text)?;
        measure(name, plain, Compression::Gzip, text.len(), &stored.into())?;
        measure(plain, plain, Compression::None, text.len(), &text.into())?;
    }
    Ok(())
}

fn measure(shown: &str, name: &str, compression: Compression, text_bytes: usize, stored: &Bytes) -> Result<()> {
    let options = if name.ends_with(".csv") {
        FormatOptions::Csv(CsvOptions::default())
    } else if name.ends_with(".jsonl") {
        FormatOptions::Jsonl
    } else {
        bail!("{name}: the extension is neither .csv nor .jsonl");
    };
    let names = names_of_first_row(&options, compression, stored)?;
    let catalogs = catalogs(&names);
    let lines = catalogs.iter().map(|(catalog, columns)| (*catalog, Target::Lines(columns)));
    let arrow = catalogs.iter().filter_map(|(catalog, columns)| match columns {
        Columns::All => None,
        Columns::Listed(columns) => Some((if *catalog == "typed" { "arrow t" } else { "arrow s" }, arrow(columns))),
    });
    for (catalog, target) in lines.chain(arrow) {
        let mut best: Option<Run> = None;
        for _ in 0..RUNS {
            let run = run(&options, compression, &target, stored)?;
            if best.is_none_or(|best| run.decode + run.encode < best.decode + best.encode) {
                best = Some(run);
            }
        }
        let best = best.unwrap_or_default();
        let per_million = |nanos: u64| nanos as f64 / 1e3 / best.rows as f64;
        let total = best.decode + best.encode;
        println!(
            "{shown:23} {catalog:7} {:10} {:9.3} {:9.3} {:9.3} {:9.0} {:9.0}",
            best.rows,
            per_million(best.decode),
            per_million(best.encode),
            per_million(total),
            text_bytes as f64 * 1e3 / total as f64,
            best.output_bytes as f64 * 1e3 / total as f64
        );
    }
    Ok(())
}

/// What is made of the rows.
enum Target<'a> {
    Lines(&'a Columns),
    Arrow(SchemaRef),
}

fn arrow(columns: &[Column]) -> Target<'static> {
    let field = |column: &Column| {
        let kind = match column.kind {
            ColumnType::Integer => DataType::Int64,
            ColumnType::Number => DataType::Float64,
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            _ => DataType::Utf8,
        };
        Field::new(&column.name, kind, true)
    };
    Target::Arrow(SchemaRef::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())))
}

/// Makes it, batch by batch.
enum Maker<'a> {
    Lines(Box<FileEncoder>, Vec<u8>),
    Arrow(&'a SchemaRef, Box<ArrowOptions>),
}

impl<'a> Maker<'a> {
    fn new(options: &FormatOptions, target: &'a Target<'a>) -> Self {
        match target {
            Target::Lines(columns) => {
                let encode = EncodeOptions::new(options, false, Validation::Emit);
                let encoder = StreamEncoder::new("csv1", None, columns, encode).file(&object(), 1_795_259_475_356);
                Self::Lines(Box::new(encoder), Vec::new())
            }
            Target::Arrow(schema) => {
                // The text of columns that are sometimes empty.
                let mut options = ArrowOptions::new(options);
                options.csv.null_values = vec![String::new()];
                Self::Arrow(schema, Box::new(options))
            }
        }
    }

    /// The rows of a batch, and the bytes that were made of them.
    fn make(&mut self, batch: &Batch) -> Result<(u64, usize)> {
        match self {
            Self::Lines(encoder, out) => {
                out.clear();
                Ok((encoder.encode(batch, out)?.lines, out.len()))
            }
            Self::Arrow(schema, options) => {
                let made = to_arrow(batch, schema, options)?;
                match made.stopped {
                    Some((_, error)) => Err(error.into()),
                    None => Ok((made.batch.num_rows() as u64, made.batch.get_array_memory_size())),
                }
            }
        }
    }
}

fn catalogs(names: &[String]) -> Vec<(&'static str, Columns)> {
    let list = |kind: &dyn Fn(&str) -> ColumnType| {
        Columns::Listed(names.iter().map(|name| Column { name: name.clone(), kind: kind(name) }).collect())
    };
    let typed = |name: &str| match name {
        "id" | "qty" | "maybe" => ColumnType::Integer,
        "amount" => ColumnType::Number,
        "active" => ColumnType::Boolean,
        "created_at" => ColumnType::Timestamp,
        "nested" => ColumnType::Object,
        _ => ColumnType::String,
    };
    vec![("all", Columns::All), ("strings", list(&|_| ColumnType::String)), ("typed", list(&typed))]
}

fn names_of_first_row(options: &FormatOptions, compression: Compression, stored: &Bytes) -> Result<Vec<String>> {
    let mut decoder = OpenOptions { compression, ..OpenOptions::new(options) }.open(&object())?;
    let mut at = 0;
    loop {
        match decoder.step()? {
            Step::NeedRoom => {}
            Step::NeedBytes => feed(&mut *decoder, stored, &mut at)?,
            Step::Batch(decoded) => {
                return Ok(match decoded.batch {
                    Batch::Text(rows) => rows.columns.iter().map(ToString::to_string).collect(),
                    Batch::Json(rows) => {
                        let key = |field: &tollgate_base::batch::JsonField| {
                            String::from_utf8_lossy(field.key.of(&rows.data)).into_owned()
                        };
                        rows.row(0).iter().map(key).collect()
                    }
                    Batch::Arrow(_) => bail!("text gives no Arrow batches"),
                });
            }
            Step::NeedRanges(_) | Step::Planned(_) | Step::Done => bail!("the file has no rows"),
        }
    }
}

fn feed(decoder: &mut dyn tollgate_format::Decode, stored: &Bytes, at: &mut usize) -> Result<()> {
    if *at == stored.len() {
        decoder.end_input(InputEnd::Complete);
        return Ok(());
    }
    let end = (*at + PIECE_BYTES).min(stored.len());
    decoder.feed(*at as u64, stored.slice(*at..end))?;
    *at = end;
    Ok(())
}

fn object() -> ObjectFacts {
    ObjectFacts {
        key: "csv1/all.csv".into(),
        size: 0,
        modified_at: Timestamp::default(),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    }
}

fn run(options: &FormatOptions, compression: Compression, target: &Target<'_>, stored: &Bytes) -> Result<Run> {
    let object = object();
    let mut decoder = OpenOptions { compression, ..OpenOptions::new(options) }.open(&object)?;
    let mut maker = Maker::new(options, target);
    let mut run = Run::default();
    let (mut at, clock) = (0, Clock::new());
    loop {
        let started = clock.now();
        let step = decoder.step()?;
        let stepped = clock.now();
        run.decode += stepped - started;
        match step {
            Step::NeedRoom => {}
            Step::NeedBytes => feed(&mut *decoder, stored, &mut at)?,
            Step::Batch(decoded) => {
                let (rows, bytes) = maker.make(&decoded.batch)?;
                drop(decoded);
                run.encode += clock.now() - stepped;
                run.rows += rows;
                run.output_bytes += bytes as u64;
            }
            Step::Done => return Ok(run),
            Step::NeedRanges(_) | Step::Planned(_) => bail!("text is a stream"),
        }
    }
}

/// CPU time of this thread in nanoseconds.
struct Clock(Instant);

impl Clock {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn now(&self) -> u64 {
        std::fs::read_to_string("/proc/thread-self/schedstat")
            .ok()
            .and_then(|line| line.split(' ').next()?.parse().ok())
            .unwrap_or_else(|| self.0.elapsed().as_nanos() as u64)
    }
}
