//! Dead letters: bad rows, written down where a person or a later run finds them.
//!
//! ```text
//!   rejects of a batch ─▶ piece of the file (1 MiB of its text, or 65,536 rows) ─ before their rows are handed on ─▶ PUT
//! ```
//!
//! There is one object for each piece that has bad rows. Its name comes from the stream, the file, the file's version and
//! the piece, so that a run that meets the same rows again writes the same object again. A run that begins inside a piece
//! takes over what an earlier run wrote of the rows before its beginning. So whatever STATE a run goes on from, each bad row is
//! there once.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use serde::Serialize;

use crate::files::byte_source::in_one_piece;
use crate::select::dead_letter_keys::{SUFFIX, path_of};
use tollgate_base::batch::{Place, Position, Reject};
use tollgate_base::error::{Error, ErrorKind, Result, Subject};
use tollgate_base::object::ObjectFacts;
use tollgate_config::job::{BadRowAction, DeadLetterPlace};
use tollgate_s3::Store;

/// Of a file's text in one piece, as a power of two.
const PIECE_BITS_OF_BYTES: u32 = 20;

/// Of a file's rows in one piece where they have no place in a text, as a power of two.
const PIECE_BITS_OF_ROWS: u32 = 16;

/// Where letters go.
#[derive(Debug, Clone)]
pub(crate) enum DeadLetterStore {
    Bucket { store: Store, prefix: String },
    Folder(PathBuf),
}

impl DeadLetterStore {
    /// The one of a stream; `None` where it has none.
    pub(crate) fn of(action: &BadRowAction, store: &Store) -> Option<Self> {
        let BadRowAction::DeadLetter(place) = action else { return None };
        Some(match place {
            DeadLetterPlace::Bucket { bucket, prefix } => {
                Self::Bucket { store: store.for_bucket(bucket), prefix: prefix.clone() }
            }
            DeadLetterPlace::Folder(folder) => Self::Folder(folder.clone()),
        })
    }

    /// Boxed: the futures of requests are large, and rarely needed.
    fn write<'a>(&'a self, name: &'a str, text: Vec<u8>) -> Later<'a, ()> {
        Box::pin(async move {
            let written = match self {
                Self::Bucket { store, prefix } => store.put(&format!("{prefix}{name}"), Bytes::from(text)).await,
                Self::Folder(folder) => {
                    let path = folder.join(name);
                    in_background(move || write_file(&path, &text)).await
                }
            };
            written.map_err(|error| self.unwritten(error))
        })
    }

    /// Tries to write, and leaves no bad row behind: an object without a byte, whose name is that of no data.
    pub(crate) async fn try_out(&self) -> Result<()> {
        let name = format!("check{SUFFIX}");
        self.write(&name, Vec::new()).await?;
        match self {
            Self::Bucket { .. } => Ok(()),
            Self::Folder(folder) => {
                let path = folder.join(name);
                in_background(move || std::fs::remove_file(&path).map_err(|error| unusable(&path, error))).await
            }
        }
    }

    fn location(&self) -> String {
        match self {
            Self::Bucket { store, prefix } => format!("s3://{}/{prefix}", store.bucket()),
            Self::Folder(folder) => folder.display().to_string(),
        }
    }

    /// An error of the place for dead letters. That a bucket is not there, or that an object in it is archived, says
    /// nothing about the file that is read.
    fn unwritten(&self, error: Error) -> Error {
        let place = self.location();
        if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Archived | ErrorKind::Changed) {
            return error.about(Subject::DeadLetters).with("dead_letters", place);
        }
        Error::config(format!("bad rows cannot be written to '{place}'"))
            .about(Subject::DeadLetters)
            .caused_by(error)
            .with("dead_letters", place)
            .hint("check `dead_letter_path`, and that the connector can write there")
    }

    fn read<'a>(&'a self, name: &'a str) -> Later<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            match self {
                Self::Bucket { store, prefix } => {
                    let read = read_object(store, &format!("{prefix}{name}")).await;
                    read.map_err(|error| self.unwritten(error))
                }
                Self::Folder(folder) => {
                    let path = folder.join(name);
                    in_background(move || match std::fs::read(&path) {
                        Ok(text) => Ok(Some(text)),
                        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                        Err(error) => Err(unusable(&path, error)),
                    })
                    .await
                }
            }
        })
    }
}

/// A future of any size and shape.
type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

async fn read_object(store: &Store, key: &str) -> Result<Option<Vec<u8>>> {
    let object = match store.head(key).await {
        Ok(object) => object,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = in_one_piece(store, &object, 0..object.size).await?;
    Ok(Some(text.into()))
}

/// A file is complete or not there.
fn write_file(path: &std::path::Path, text: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| write_private(&partial, text))
        .and_then(|()| std::fs::rename(&partial, path))
        .map_err(|error| unusable(path, error))
}

/// Bad rows are data like others: nobody else on the machine is to read them.
fn write_private(path: &std::path::Path, text: &[u8]) -> std::io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // One that a killed run left may be older than this rule.
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    std::io::Write::write_all(&mut file, text)
}

fn unusable(path: &std::path::Path, error: std::io::Error) -> Error {
    Error::config(format!("bad rows cannot be written to '{}'", path.display()))
        .caused_by(error)
        .hint("check `dead_letter_path`, and that the connector can write there")
}

async fn in_background<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::internal("writing a file ended unexpectedly").caused_by(error)))
}

/// The letters of one file.
#[derive(Debug)]
pub(crate) struct DeadLetterWriter {
    to: DeadLetterStore,
    stream: String,
    object: ObjectFacts,
    /// Where this run begins in the file: bytes, where that is known, and rows.
    from_offset: Option<u64>,
    from_row: u64,
    /// Whether rows before that lie in a block that begins at those bytes.
    inside_block: bool,
    by_offset: Option<DeadLetterChunk>,
    by_row: Option<DeadLetterChunk>,
}

/// A piece of a file with its letters.
#[derive(Debug)]
struct DeadLetterChunk {
    number: u64,
    text: Vec<u8>,
    changed: bool,
}

/// One line of an object.
#[derive(Serialize)]
struct Letter<'a> {
    stream: &'a str,
    key: &'a str,
    etag: &'a str,
    last_modified: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    /// What the offset counts, where that is not the bytes of the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset_unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    /// How many rows are lost, where it is not the one.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    reason: &'a str,
    raw: std::borrow::Cow<'a, str>,
    /// The bytes of a row that is no text, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw_hex: Option<String>,
    /// Whether the row is longer than what is here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
}

impl DeadLetterWriter {
    /// For a file that is read from a position on.
    pub(crate) fn new(to: DeadLetterStore, stream: &str, object: &ObjectFacts, from: &Position) -> Self {
        let from_offset = match &from.place {
            Place::Start => Some(0),
            Place::Byte { offset, .. } | Place::Block { offset, .. } => Some(*offset),
            Place::RowGroup { .. } => None,
        };
        let inside_block = matches!(from.place, Place::Block { row, .. } if row > 0);
        let (stream, object, from_row) = (stream.to_owned(), object.clone(), from.rows);
        Self { to, stream, object, from_offset, from_row, inside_block, by_offset: None, by_row: None }
    }

    /// Takes rejects in, in the order of the file. A piece that is left behind is written.
    pub(crate) async fn add(&mut self, rejects: &[Reject]) -> Result<()> {
        for reject in rejects {
            let by_offset = reject.offset.is_some();
            let number = match (reject.offset, reject.row) {
                (Some(offset), _) => offset >> PIECE_BITS_OF_BYTES,
                (None, row) => row.unwrap_or(0) >> PIECE_BITS_OF_ROWS,
            };
            let open = if by_offset { &self.by_offset } else { &self.by_row };
            if open.as_ref().is_none_or(|piece| piece.number != number) {
                self.write_piece(by_offset).await?;
                let text = self.earlier(by_offset, number).await?;
                *self.piece(by_offset) = Some(DeadLetterChunk { number, text, changed: false });
            }
            let line = self.line(reject)?;
            if let Some(piece) = self.piece(by_offset) {
                piece.text.extend_from_slice(&line);
                piece.changed = true;
            }
        }
        Ok(())
    }

    /// Writes what was taken in and is not written yet.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        self.write_piece(true).await?;
        self.write_piece(false).await
    }

    fn piece(&mut self, by_offset: bool) -> &mut Option<DeadLetterChunk> {
        if by_offset { &mut self.by_offset } else { &mut self.by_row }
    }

    async fn write_piece(&mut self, by_offset: bool) -> Result<()> {
        let Some(piece) = self.piece(by_offset).as_mut().filter(|piece| piece.changed) else { return Ok(()) };
        let (number, text) = (piece.number, piece.text.clone());
        let name = self.name(by_offset, number);
        self.to.write(&name, text).await?;
        if let Some(piece) = self.piece(by_offset) {
            piece.changed = false;
        }
        Ok(())
    }

    /// What an earlier run wrote into the piece of the rows before this run's beginning.
    async fn earlier(&self, by_offset: bool, number: u64) -> Result<Vec<u8>> {
        let (from, bits, first) = match by_offset {
            true => (self.from_offset.unwrap_or(0), PIECE_BITS_OF_BYTES, 0),
            // Rows are counted from 1.
            false => (self.from_row + 1, PIECE_BITS_OF_ROWS, 1),
        };
        let inside_block = by_offset && self.inside_block;
        let at_start = from == (number << bits).max(first) && !inside_block;
        if from >> bits != number || at_start {
            return Ok(Vec::new());
        }
        let Some(text) = self.to.read(&self.name(by_offset, number)).await? else { return Ok(Vec::new()) };
        let field = if by_offset { "offset" } else { "row" };
        let before = |line: &&[u8]| {
            let letter: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
            let number = |field: &str| letter.get(field).and_then(serde_json::Value::as_u64);
            number(field).is_some_and(|place| {
                let done = || inside_block && number("row").is_some_and(|row| row <= self.from_row);
                place < from || (place == from && done())
            })
        };
        Ok(text.split_inclusive(|byte| *byte == b'\n').filter(before).flatten().copied().collect())
    }

    fn name(&self, by_offset: bool, number: u64) -> String {
        let version: String = self.object.etag.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let version = if version.is_empty() { self.object.modified_at.micros().to_string() } else { version };
        let kind = if by_offset { 'b' } else { 'r' };
        let (stream, key) = (path_of(&self.stream), path_of(&self.object.key));
        format!("{stream}/{key}.{version}.{kind}{number:07}{SUFFIX}")
    }

    fn line(&self, reject: &Reject) -> Result<Vec<u8>> {
        let raw = String::from_utf8_lossy(&reject.raw);
        let raw_hex = matches!(raw, std::borrow::Cow::Owned(_)).then(|| hex(&reject.raw));
        let letter = Letter {
            stream: &self.stream,
            key: &self.object.key,
            etag: &self.object.etag,
            last_modified: self.object.modified_at.to_string(),
            line: reject.line,
            offset: reject.offset,
            offset_unit: reject.offset_unit.filter(|_| reject.offset.is_some()),
            row: reject.row,
            rows: (reject.more_rows > 0).then(|| reject.rows()),
            reason: &reject.reason,
            raw,
            raw_hex,
            cut: reject.cut,
        };
        let mut line = serde_json::to_vec(&letter)
            .map_err(|error| Error::internal("a bad row cannot be written as JSON").caused_by(error))?;
        line.push(b'\n');
        Ok(line)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a String cannot fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_the_place_says_nothing_about_the_file_whose_rows_go_there() {
        let place = DeadLetterStore::Folder("/letters".into());
        for kind in [ErrorKind::NotFound, ErrorKind::Archived, ErrorKind::Changed] {
            let error = place.unwritten(Error::new(kind, "no such object").with("key", "letters/a"));
            assert_eq!((error.kind(), error.subject()), (ErrorKind::Config, Subject::DeadLetters), "{error:?}");
        }
        let broken = Error::new(ErrorKind::Transient, "wrong bytes").about(Subject::EarlierRows);
        let error = place.unwritten(broken);
        assert_eq!((error.kind(), error.subject()), (ErrorKind::Transient, Subject::DeadLetters), "{error:?}");
        assert_eq!(error.get("dead_letters"), Some("/letters"));
    }
}
