//! The names of objects that hold dead letters, so that they are never read as data.

use std::fmt::Write as _;

use tollgate_config::job::{BadRowAction, DeadLetterPlace, Stream};
use tollgate_s3::Store;

/// The end of every name: files with it are never data.
pub(crate) const SUFFIX: &str = ".dead-letters.jsonl";

/// Names are cut beyond this, and told apart by a hash: S3 allows 1,024 bytes, the prefix and the piece's number included.
const NAME_BYTES: usize = 640;

/// The folders below a base that have nothing but letters: all of the place for them where it lies inside, else the one of the
/// stream.
pub(crate) fn folders_in(store: &Store, stream: &Stream, base: &str) -> Vec<String> {
    match &stream.bad_rows.action {
        BadRowAction::DeadLetter(DeadLetterPlace::Bucket { bucket, prefix }) if bucket == store.bucket() => {
            let whole = prefix.len() > base.len() && prefix.starts_with(base);
            vec![if whole { prefix.clone() } else { format!("{prefix}{}/", path_of(&stream.name)) }]
        }
        _ => Vec::new(),
    }
}

/// A name as a path that any file system and any S3 server takes, and that cannot lead out of its folder.
pub(crate) fn path_of(name: &str) -> String {
    let mut path = String::new();
    for (index, segment) in name.split('/').enumerate() {
        if index > 0 {
            path.push('/');
        }
        let dots = segment.chars().all(|c| c == '.');
        for byte in segment.bytes() {
            match byte {
                b'.' if !dots => path.push('.'),
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'=' => path.push(char::from(byte)),
                // Writing into a String cannot fail.
                _ => _ = write!(path, "%{byte:02X}"),
            }
        }
        if segment.is_empty() {
            // It would vanish in a file system.
            path.push('%');
        }
    }
    let long = path.len() > NAME_BYTES || path.split('/').any(|segment| segment.len() > 160);
    if long { format!("{}-{:016x}", short_of(&path), hash(name)) } else { path }
}

/// The beginning of a path, with short parts.
fn short_of(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').map(|part| &part[..part.len().min(100)]).collect();
    let path = parts.join("/");
    path[..path.len().min(NAME_BYTES / 2)].trim_end_matches('/').to_owned()
}

/// FNV-1a: the same in every run and on every machine.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths_that_stay_in_their_folder() {
        for (name, expected) in [
            ("data/a=1/x.csv", "data/a=1/x.csv"),
            ("../../etc/x", "%2E%2E/%2E%2E/etc/x"),
            ("/a//b", "%/a/%/b"),
            ("ü #%", "%C3%BC%20%23%25"),
            (".hidden", ".hidden"),
        ] {
            assert_eq!(path_of(name), expected);
        }
        let long = ["x".repeat(1000), format!("{}y", "x".repeat(999)), "ab/".repeat(340)].map(|name| path_of(&name));
        assert!(long.iter().all(|path| path.len() < NAME_BYTES), "{long:?}");
        assert_ne!(long[0], long[1]);
    }
}
