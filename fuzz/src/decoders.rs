//! Decoders with the encoders behind them. The same rows come out however the bytes arrive, and each line is JSON.

use std::sync::LazyLock;

use bytes::Bytes;
use tollgate_base::error::Result;
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::Compression;
use tollgate_base::schema::Columns;
use tollgate_config::job::Stream;
use tollgate_format::compression::Caps;
use tollgate_format::infer::Inference;
use tollgate_format::zip::{Directory, Found};
use tollgate_format::{Access, Decode, DecodeLimits, InputEnd, OpenOptions, Step};
use tollgate_record::{EncodeOptions, StreamEncoder, Validation};

/// Limits that a fuzzer reaches.
fn limits() -> DecodeLimits {
    DecodeLimits {
        batch_rows: 64,
        batch_bytes: 16 << 10,
        row_bytes: 64 << 10,
        caps: Caps { decoded_bytes: 4 << 20, ratio: 200 },
        ..DecodeLimits::default()
    }
}

/// Steps that one object may take: more is a hang.
const STEPS: usize = 200_000;

macro_rules! target {
    ($name:ident, $stream:literal) => {
        pub(crate) fn $name(input: &[u8]) {
            static STREAM: LazyLock<Stream> = LazyLock::new(|| stream($stream));
            same_rows_in_any_pieces(&STREAM, input);
        }
    };
}

target!(csv, r#"{"format": {"filetype": "csv"}, "compression": "none"}"#);
target!(
    csv_options,
    r#"{"format": {"filetype": "csv", "delimiter": ";", "quote_char": "'", "escape_char": "\\", "double_quote": false,
        "skip_rows_before_header": 1, "skip_rows_after_header": 1, "null_values": ["", "NA"],
        "inference_type": "Primitive Types Only", "ignore_errors_on_fields_mismatch": true}, "compression": "none"}"#
);
target!(jsonl, r#"{"format": {"filetype": "jsonl"}, "compression": "none"}"#);
target!(json, r#"{"format": {"filetype": "json"}, "compression": "none"}"#);
target!(avro, r#"{"format": {"filetype": "avro"}, "compression": "none"}"#);
target!(excel, r#"{"format": {"filetype": "excel"}, "compression": "none"}"#);
target!(gzip, r#"{"format": {"filetype": "jsonl"}, "compression": "gzip"}"#);
target!(bzip2, r#"{"format": {"filetype": "jsonl"}, "compression": "bzip2"}"#);
target!(zstd, r#"{"format": {"filetype": "jsonl"}, "compression": "zstd"}"#);
target!(xz, r#"{"format": {"filetype": "jsonl"}, "compression": "xz"}"#);
target!(lz4, r#"{"format": {"filetype": "jsonl"}, "compression": "lz4"}"#);
target!(snappy, r#"{"format": {"filetype": "jsonl"}, "compression": "snappy"}"#);
target!(brotli, r#"{"format": {"filetype": "jsonl"}, "compression": "brotli"}"#);
target!(zip_member, r#"{"format": {"filetype": "jsonl"}, "compression": "zip"}"#);
target!(told_by_first_bytes, r#"{"format": {"filetype": "jsonl"}, "compression": "auto"}"#);
target!(utf_16, r#"{"format": {"filetype": "csv", "encoding": "utf_16", "delimiter": "||"}, "compression": "none"}"#);
target!(shift_jis, r#"{"format": {"filetype": "csv", "encoding": "shift_jis"}, "compression": "none"}"#);
target!(parquet, r#"{"format": {"filetype": "parquet"}}"#);

/// The directory of an archive: what it asks for is in the archive, and so are its members.
pub(crate) fn zip(input: &[u8]) {
    let size = input.len() as u64;
    let mut directory = Directory::new(size);
    let mut wanted = directory.first();
    for _ in 0..100 {
        assert!(wanted.start <= wanted.end && wanted.end <= size, "{wanted:?} is not in the archive");
        match directory.take(wanted.start, &input[wanted.start as usize..wanted.end as usize]) {
            Ok(Found::Need(range)) => wanted = range,
            Ok(Found::Members(members)) => {
                for member in members {
                    assert!(member.range.start <= member.range.end && member.range.end <= size, "{member:?}");
                    _ = member.readable();
                }
                return;
            }
            Err(_) => return,
        }
    }
    panic!("no end of questions for {size} bytes");
}

/// A stream of a configuration, so that the options are those that a user can give.
fn stream(options: &str) -> Stream {
    let text = format!(
        r#"{{"bucket": "b", "credentials": {{"auth_type": "anonymous"}}, "streams": [{{"name": "s", "globs": ["**"], {}]}}"#,
        options.trim_start_matches('{')
    );
    let job = tollgate_config::parse(text.as_bytes()).expect("the target's configuration is right");
    job.streams.into_iter().next().expect("it has one stream")
}

fn same_rows_in_any_pieces(stream: &Stream, input: &[u8]) {
    let whole = read(stream, input, input.len().max(1));
    let first = input.first().copied().unwrap_or_default();
    let pieces = read(stream, input, usize::from(first % 13) + 1);
    assert_eq!(whole.error.is_some(), pieces.error.is_some(), "whether it fails depends on the pieces");
    if stream.compression == Compression::None || whole.error.is_none() {
        assert_eq!(whole.error, pieces.error, "the error depends on the pieces");
        assert!(whole.lines == pieces.lines, "the lines depend on the pieces");
    } else {
        // How much a damaged stream gives before its fault is noticed is the decompressor's choice; what it gives is not.
        let (shorter, longer) =
            if whole.lines.len() < pieces.lines.len() { (&whole, &pieces) } else { (&pieces, &whole) };
        assert!(longer.lines.starts_with(&shorter.lines), "the lines depend on the pieces");
    }
    for line in whole.lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        if let Err(error) = serde_json::from_slice::<&serde_json::value::RawValue>(line) {
            // Nested deeper than this reader follows, which is no fault of the line.
            assert!(error.to_string().contains("recursion"), "{error}: {}", String::from_utf8_lossy(line));
        }
    }
}

/// What reading an object gave.
struct Outcome {
    lines: Vec<u8>,
    error: Option<String>,
}

fn read(stream: &Stream, input: &[u8], piece: usize) -> Outcome {
    let mut lines = Vec::new();
    let error = try_read(stream, input, piece, &mut lines).err().map(|error| error.to_string());
    Outcome { lines, error }
}

fn try_read(stream: &Stream, input: &[u8], piece: usize, lines: &mut Vec<u8>) -> Result<()> {
    let object = ObjectFacts {
        key: "file".into(),
        size: input.len() as u64,
        modified_at: Timestamp::from_micros(0),
        etag: "\"e\"".into(),
        storage_class: StorageClass::Standard,
    };
    let compression = stream.compression.resolve(&object.key);
    let options = OpenOptions { compression, limits: limits(), ..OpenOptions::new(&stream.format) };
    let mut decoder = options.open(&object)?;
    let encode = EncodeOptions::new(&stream.format, false, Validation::Emit);
    let mut encoder = StreamEncoder::new("s", None, &Columns::All, encode).file(&object, 0);
    let mut inference = Inference::new(&stream.format);
    let mut at = 0;
    for _ in 0..STEPS {
        match decoder.step()? {
            Step::NeedRoom | Step::Planned(_) => {}
            Step::NeedBytes => feed_next(&mut *decoder, input, piece, &mut at)?,
            Step::NeedRanges(ranges) => {
                assert_eq!(decoder.access(), Access::Ranges);
                for range in ranges {
                    assert!(
                        range.start < range.end && range.end <= input.len() as u64,
                        "{range:?} is not in the object"
                    );
                    feed_range(&mut *decoder, input, piece, range.start as usize..range.end as usize)?;
                }
            }
            Step::Batch(decoded) => {
                inference.add(&decoded.batch);
                if let Some((_, error)) = encoder.encode(&decoded.batch, lines)?.stopped {
                    return Err(error);
                }
            }
            Step::Done => return Ok(()),
        }
    }
    panic!("no end after {STEPS} steps for {} bytes", input.len());
}

fn feed_next(decoder: &mut dyn Decode, input: &[u8], piece: usize, at: &mut usize) -> Result<()> {
    if *at == input.len() {
        decoder.end_input(InputEnd::Complete);
        return Ok(());
    }
    let end = (*at + piece).min(input.len());
    decoder.feed(*at as u64, Bytes::copy_from_slice(&input[*at..end]))?;
    *at = end;
    Ok(())
}

fn feed_range(decoder: &mut dyn Decode, input: &[u8], piece: usize, range: std::ops::Range<usize>) -> Result<()> {
    let mut at = range.start;
    while at < range.end {
        let end = (at + piece.max(64)).min(range.end);
        decoder.feed(at as u64, Bytes::copy_from_slice(&input[at..end]))?;
        at = end;
    }
    Ok(())
}
