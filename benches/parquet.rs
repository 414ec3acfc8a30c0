//! CPU time of Parquet → record lines, from memory, on one thread.
//!
//! `cargo bench --bench parquet -- FILE [ROWS_PER_BATCH…]` decodes a file and encodes all its columns and rows, three
//! times, and prints the fastest. Times are the thread's CPU times where the system tells them (Linux), so that a busy
//! machine disturbs little; elsewhere they are wall-clock times.
#![expect(clippy::print_stdout, reason = "a bench prints its results")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::Projection;
use tollgate_base::schema::Columns;
use tollgate_format::parquet::{ParquetDecoder, ParquetLimits};
use tollgate_format::{Decode, Step};
use tollgate_record::{EncodeOptions, StreamEncoder};

/// The CPU time of this thread so far. The kernel brings it up to date a few hundred times a second, which evens out over
/// the batches of a file.
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// What one run took.
#[derive(Default, Clone, Copy)]
struct Run {
    decode: Duration,
    encode: Duration,
    rows: u64,
    output_bytes: u64,
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(path) = arguments.next() else {
        println!("usage: cargo bench --bench parquet -- FILE [ROWS_PER_BATCH…]");
        return Ok(());
    };
    let file = Bytes::from(std::fs::read(&path).with_context(|| path.clone())?);
    let mut sizes: Vec<usize> = arguments.map(|size| size.parse()).collect::<Result<_, _>>()?;
    if sizes.is_empty() {
        sizes.push(ParquetLimits::default().batch_rows);
    }
    println!("{path}: {} bytes", file.len());
    println!("rows/batch       rows   decode ms   encode ms    total ms   out MB/s");
    for batch_rows in sizes {
        let mut best: Option<Run> = None;
        for _ in 0..3 {
            let run = run(&file, batch_rows)?;
            if best.is_none_or(|best| run.decode + run.encode < best.decode + best.encode) {
                best = Some(run);
            }
        }
        let best = best.unwrap_or_default();
        let total = best.decode + best.encode;
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        println!(
            "{batch_rows:10} {:10} {:11.1} {:11.1} {:11.1} {:10.0}",
            best.rows,
            ms(best.decode),
            ms(best.encode),
            ms(total),
            best.output_bytes as f64 / 1e6 / total.as_secs_f64()
        );
    }
    Ok(())
}

fn run(file: &Bytes, batch_rows: usize) -> Result<Run> {
    let object = ObjectFacts {
        key: "parquet/all.parquet".into(),
        size: file.len() as u64,
        modified_at: Timestamp::default(),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    };
    let limits = ParquetLimits { batch_rows, ..ParquetLimits::default() };
    let mut decoder = ParquetDecoder::new(&object, &Projection::All, None, limits)?;
    let stream = StreamEncoder::new("parquet", None, &Columns::All, EncodeOptions::default());
    let mut encoder = stream.file(&object, 1_795_259_475_356);
    let mut out = Vec::new();
    let mut run = Run::default();
    loop {
        let started = now();
        let step = decoder.step()?;
        run.decode += now() - started;
        match step {
            Step::NeedRoom | Step::Planned(_) => {}
            Step::NeedRanges(ranges) => {
                for range in ranges {
                    decoder.feed(range.start, file.slice(range.start as usize..range.end as usize))?;
                }
            }
            Step::Batch(decoded) => {
                let started = now();
                out.clear();
                run.rows += encoder.encode(&decoded.batch, &mut out)?.lines;
                run.encode += now() - started;
                run.output_bytes += out.len() as u64;
            }
            Step::NeedBytes => bail!("a decoder of ranges asks for a stream"),
            Step::Done => return Ok(run),
        }
    }
}
