//! Parquet files of other tools, read and written as lines, byte by byte as `fixtures/parquet/make.py` expects them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::Projection;
use tollgate_base::schema::Columns;
use tollgate_format::parquet::{ParquetDecoder, ParquetLimits};
use tollgate_format::{Decode, Step};
use tollgate_record::{EncodeOptions, StreamEncoder};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/fixtures/parquet");

/// Damaged copies that are made of each file.
const DAMAGED_PER_FILE: usize = 60;

/// The members of a file's records, a line per row, without the two added columns.
fn lines(path: &Path, file: Bytes, batch_rows: usize) -> Result<String> {
    let object = ObjectFacts {
        key: path.to_string_lossy().as_ref().into(),
        size: file.len() as u64,
        modified_at: Timestamp::default(),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    };
    let limits = ParquetLimits { batch_rows, ..ParquetLimits::default() };
    let mut decoder = ParquetDecoder::new(&object, &Projection::All, None, limits)?;
    let stream = StreamEncoder::new("s", None, &Columns::All, EncodeOptions::default());
    let mut encoder = stream.file(&object, 0);
    let mut out = Vec::new();
    loop {
        match decoder.step()? {
            Step::NeedRoom | Step::Planned(_) => {}
            Step::NeedRanges(ranges) => {
                for range in ranges {
                    decoder.feed(range.start, file.slice(range.start as usize..range.end as usize))?;
                }
            }
            Step::Batch(decoded) => {
                if let Some((_, error)) = encoder.encode(&decoded.batch, &mut out)?.stopped {
                    return Err(error.into());
                }
            }
            Step::NeedBytes => bail!("a decoder of ranges asks for a stream"),
            Step::Done => break,
        }
    }
    let members = std::str::from_utf8(&out)?.lines().map(|line| {
        let data = line
            .strip_prefix(r#"{"type":"RECORD","record":{"stream":"s","data":{"#)
            .context("the start of a record")?;
        let (members, _) = data.split_once(r#""_ab_source_file_last_modified":"#).context("the end of a record")?;
        Ok(format!("{{{}}}\n", members.strip_suffix(',').unwrap_or(members)))
    });
    members.collect()
}

fn expected(path: &Path) -> Result<String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.split("--").next().unwrap_or_default();
    Ok(fs::read_to_string(Path::new(FOLDER).join(format!("{name}.jsonl")))?)
}

fn files() -> Result<Vec<PathBuf>> {
    let mut files: Vec<_> = fs::read_dir(FOLDER)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    files.sort();
    Ok(files)
}

#[test]
fn files_of_other_tools_have_the_rows_that_they_should() -> Result<()> {
    let files = files()?;
    assert!(files.len() >= 20, "{} files in {FOLDER}", files.len());
    let mut failures = Vec::new();
    for path in &files {
        for batch_rows in [1000, 3] {
            let expected = expected(path)?;
            match lines(path, fs::read(path)?.into(), batch_rows) {
                Ok(lines) if lines == expected => {}
                Ok(lines) => {
                    let different = lines.lines().zip(expected.lines()).find(|(one, two)| one != two);
                    failures.push(format!("{}: {different:#?}", path.display()));
                }
                Err(error) => failures.push(format!("{}: {error:?}", path.display())),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

/// Damaged files end in an error that names the file, or in rows where the damage is in what nobody looks at; never in
/// a panic, neither when they are decoded nor when what was decoded is written.
#[test]
fn damaged_files_end_in_rows_or_in_an_error() -> Result<()> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    for path in files()? {
        let file = fs::read(&path)?;
        for round in 0..DAMAGED_PER_FILE {
            let mut damaged = file.clone();
            for _ in 0..=random(3) {
                let at = random(damaged.len());
                damaged[at] ^= 1 << random(8);
            }
            let Err(error) = lines(&path, damaged.into(), 50) else { continue };
            let Some(error) = error.downcast_ref::<tollgate_base::error::Error>() else {
                bail!("{} in round {round}: {error:?}", path.display());
            };
            let named = error.get("key").is_some() || error.get("column").is_some();
            assert!(named && error.kind() != tollgate_base::error::ErrorKind::Internal, "{error:?} in round {round}");
        }
    }
    Ok(())
}
