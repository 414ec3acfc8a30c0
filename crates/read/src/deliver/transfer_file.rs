//! Transfers one file into the folder of a stream.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::deliver::context::{FileEnd, StreamContext};
use crate::deliver::emit::Event;
use crate::deliver::transfer::Transfer;
use crate::files::byte_source::ByteSource as Bytes;
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_protocol::message::{self, FileReference};
use tollgate_s3::Store;

/// Bytes of a file at most: the limit of the connector that we replace, which destinations count on.
const MOST_BYTES: u64 = 1_500_000_000;

impl Transfer {
    /// Transfers an object, unless `from` says that it was.
    pub(crate) async fn run(
        &self,
        context: &StreamContext,
        store: &Store,
        object: &ObjectFacts,
        from: &Position,
        may_split: bool,
        until: Option<u64>,
    ) -> Result<FileEnd> {
        if from.rows > 0 {
            return Ok(FileEnd::Read);
        }
        // A part of a file is no file.
        if until.is_some() {
            return Ok(FileEnd::Limited);
        }
        let relative = self.relative(&object.key)?;
        if object.size > MOST_BYTES {
            return Err(Error::new(ErrorKind::TooLarge, "the file is larger than the limit of file transfer")
                .with("size_bytes", object.size)
                .with("limit_bytes", MOST_BYTES));
        }
        let name = self.name(object);
        let path = self.folder.join(&name).join(relative);
        let part = Part::create(self.folder.join(format!("{name}.part")))?;
        let bytes = Bytes::new(store, object, 0, None, may_split, &context.budgets.fetched);
        let Some(part) = download(context, bytes, object, part).await? else { return Ok(FileEnd::Stopped) };
        part.keep(&path)?;
        self.emit(context, object, relative, &path).await?;
        Ok(FileEnd::Read)
    }

    async fn emit(&self, context: &StreamContext, object: &ObjectFacts, relative: &str, path: &Path) -> Result<()> {
        let (folder, file_name) = object.key.rsplit_once('/').unwrap_or(("", &object.key));
        let url = path.to_str().ok_or_else(|| Error::config("the staging folder's name is not UTF-8 text"))?;
        let line = message::file_record(&FileReference {
            stream: &self.stream,
            folder: folder.trim_end_matches('/'),
            file_name,
            bytes: object.size,
            source_uri: &format!("s3://{}/{}", self.bucket, object.key),
            updated_at: object.modified_at,
            staging_file_url: url,
            source_file_relative_path: relative,
            emitted_at: context.clock.now(),
        });
        let lines = line.into_bytes();
        let reservation = context.budgets.output.reserve(lines.len()).await;
        let after = Position::new(1, Place::RowGroup { group: 0, row: 1 });
        let key = Arc::clone(&object.key);
        context.progress.add_rows(1, lines.len() as u64);
        let batches = Vec::new();
        context.progress.advance();
        context.outgoing.send(Event::Rows { key, lines, rows: 1, bad_rows: 0, after, batches, reservation }).await;
        Ok(())
    }
}

/// Writes an object's bytes. `None`: the run was asked to stop before all were there.
async fn download(
    context: &StreamContext,
    mut bytes: Bytes,
    object: &ObjectFacts,
    mut part: Part,
) -> Result<Option<Part>> {
    loop {
        let Some(next) = context.stop.unless(bytes.next()).await else { return Ok(None) };
        let Some((_, piece)) = next? else { break };
        part.write(&piece)?;
    }
    if part.length != object.size {
        return Err(Error::new(ErrorKind::Transient, "the object ended before its size")
            .with("bytes", part.length)
            .with("size_bytes", object.size));
    }
    Ok(Some(part))
}

/// A file that is being written; it is removed unless it is kept.
struct Part {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Part {
    fn create(path: PathBuf) -> Result<Self> {
        let folder = path.parent().unwrap_or(&path);
        fs::create_dir_all(folder).map_err(|error| not_written(folder, error))?;
        let file = File::create(&path).map_err(|error| not_written(&path, error))?;
        Ok(Self { path, file: Some(file), length: 0 })
    }

    /// Writes into the system's cache: short enough not to be worth another thread.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.length += bytes.len() as u64;
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(|error| not_written(&self.path, error)),
            None => Err(Error::internal("a file was written after it was closed")),
        }
    }

    /// Puts the complete file into its place.
    fn keep(mut self, path: &Path) -> Result<()> {
        drop(self.file.take());
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| not_written(folder, error))?;
        }
        fs::rename(&self.path, path).map_err(|error| not_written(path, error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It is not there any more where it was kept.
        _ = fs::remove_file(&self.path);
    }
}

fn not_written(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::TooLarge,
        std::io::ErrorKind::InvalidFilename => ErrorKind::Unsupported,
        _ => ErrorKind::Config,
    };
    Error::new(kind, "a file cannot be written into the staging folder")
        .with("path", path.display())
        .caused_by(error)
        .hint(
            "check that the folder in AIRBYTE_STAGING_DIRECTORY is writable and has room for the files that are \
               read in parallel",
        )
}
