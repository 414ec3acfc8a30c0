//! Files of other tools, and the rows that are expected of them.

use std::fs;
use std::path::PathBuf;

/// The files of a folder with this extension, and their bytes, in the order of their names. At least so many.
pub(crate) fn files(folder: &str, extension: &str, at_least: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    assert!(files.len() >= at_least, "{} files in {folder}", files.len());
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// The members of a RECORD line of a stream `s` as an object, without the columns that are added to every record.
pub(crate) fn members(line: &str) -> String {
    let start = r#"{"type":"RECORD","record":{"stream":"s","data":{"#;
    let (members, _) = line.strip_prefix(start).unwrap().split_once(r#""_ab_source_file_last_modified":"#).unwrap();
    format!("{{{}}}", members.strip_suffix(',').unwrap_or(members))
}
