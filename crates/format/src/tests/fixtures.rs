//! Files of other tools, and the rows that are expected of them.

use std::fs;
use std::path::PathBuf;

use tollgate_base::batch::Batch;
use tollgate_base::error::Result;
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_base::options::FormatOptions;
use tollgate_base::schema::Columns;
use tollgate_record::{EncodeOptions, FileEncoder, StreamEncoder, Validation};

/// An object of this size.
pub(crate) fn object(key: &str, size: usize) -> ObjectFacts {
    ObjectFacts {
        key: key.into(),
        size: size as u64,
        modified_at: Timestamp::default(),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    }
}

/// An encoder of an object's rows to the RECORD lines of a stream `s`.
pub(crate) fn encoder(format: &FormatOptions, object: &ObjectFacts) -> FileEncoder {
    let options = EncodeOptions::new(format, false, Validation::Emit);
    StreamEncoder::new("s", None, &Columns::All, options).file(object, 0)
}

/// The members of each row of a batch.
pub(crate) fn rows(encoder: &mut FileEncoder, batch: &Batch) -> Result<Vec<String>> {
    let mut out = Vec::new();
    encoder.encode(batch, &mut out)?;
    Ok(std::str::from_utf8(&out).unwrap().lines().map(members).collect())
}

/// The files of a folder with this extension, and their bytes, in the order of their names. At least so many.
pub(crate) fn files(folder: &str, extension: &str, at_least: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    assert!(files.len() >= at_least, "{} files in {folder}", files.len());
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The members of a RECORD line of a stream `s` as an object, without the columns that are added to every record.
fn members(line: &str) -> String {
    let start = r#"{"type":"RECORD","record":{"stream":"s","data":{"#;
    let (members, _) = line.strip_prefix(start).unwrap().split_once(r#""_ab_source_file_last_modified":"#).unwrap();
    format!("{{{}}}", members.strip_suffix(',').unwrap_or(members))
}
