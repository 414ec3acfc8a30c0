//! Parquet files of other tools, read and written as lines, byte by byte as `fixtures/parquet/make.py` expects them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use tollgate::batch::Batch;
use tollgate::format::parquet::{Limits, ParquetDecoder};
use tollgate::format::{Decode, Step};
use tollgate::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate::options::Projection;
use tollgate::protocol::schema::Columns;
use tollgate::record::arrow::ArrowEncoder;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/integration_tests/fixtures/parquet");

/// The lines of a file. Each ends with the member `_`, since an encoder leaves a comma behind each of its own.
fn lines(path: &Path, batch_rows: usize) -> Result<String> {
    let file = Bytes::from(fs::read(path)?);
    let object = ObjectFacts {
        key: path.to_string_lossy().as_ref().into(),
        size: file.len() as u64,
        modified_at: Timestamp::default(),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    };
    let limits = Limits { batch_rows, ..Limits::default() };
    let mut decoder = ParquetDecoder::new(&object, &Projection::All, None, limits)?;
    let mut out = Vec::new();
    loop {
        match decoder.step()? {
            Step::NeedRanges(ranges) => {
                for range in ranges {
                    decoder.feed(range.start, file.slice(range.start as usize..range.end as usize))?;
                }
            }
            Step::Batch(decoded) => {
                let Batch::Arrow(batch) = decoded.batch else { bail!("not columns") };
                let mut encoder = ArrowEncoder::new(&batch.schema(), &Columns::All, false)?;
                encoder.encode(&batch, b"{", b"\"_\":0}\n", &mut out)?;
            }
            Step::NeedBytes => bail!("a decoder of ranges asks for a stream"),
            Step::Done => return String::from_utf8(out).context("lines are UTF-8"),
        }
    }
}

fn expected(path: &Path) -> Result<String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = stem.split("--").next().unwrap_or_default();
    let text = fs::read_to_string(Path::new(FOLDER).join(format!("{name}.jsonl")))?;
    Ok(text.lines().fold(String::new(), |all, line| match line.strip_suffix('}') {
        Some("{") => all + "{\"_\":0}\n",
        Some(members) => all + members + ",\"_\":0}\n",
        None => all + line,
    }))
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
            match lines(path, batch_rows) {
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
