//! File transfer: objects are put into a folder as they are stored, and a record says where each is.
//!
//! ```text
//!   body ─▶ FOLDER/HASH.part ─ complete? rename ─▶ FOLDER/HASH/relative/path ─▶ RECORD with file_reference ─▶ STATE
//! ```
//!
//! The platform mounts the folder into the destination as well. A file is complete before its record is written, and one
//! that is not is removed. Names come from what is read, so that a file that is transferred again takes its own place.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dispatch::Files;
use super::emit::Event;
use super::fetch::Stream as Bytes;
use super::file::{FileEnd, Shared};
use tollgate_base::batch::{Place, Position};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_config::job::{Delivery, Job, Stream};
use tollgate_protocol::catalog::ConfiguredStream;
use tollgate_protocol::message::{self, FileReference};
use tollgate_s3::Store;

/// Bytes of a file at most: the limit of the connector that we replace, which destinations count on.
const MOST_BYTES: u64 = 1_500_000_000;

/// Where the platform's files are, unless the environment says otherwise.
const STAGING: &str = "/staging/files";

/// How the files of a stream are transferred.
pub(super) struct Transfer {
    folder: PathBuf,
    bucket: String,
    stream: ConfiguredStream,
    preserve_directory_structure: bool,
}

impl Transfer {
    /// The transfer that a stream asks for, if it does.
    pub(super) fn of(job: &Job, stream: &Stream, configured: &ConfiguredStream) -> Option<Self> {
        let Delivery::Files { preserve_directory_structure } = stream.delivery else { return None };
        let bucket = job.connection.bucket.clone();
        Some(Self { folder: staging_folder(), bucket, stream: configured.clone(), preserve_directory_structure })
    }

    /// The path of an object below its folder.
    fn relative<'k>(&self, key: &'k str) -> Result<&'k str> {
        let name = key.rsplit('/').next().unwrap_or(key);
        let relative = if self.preserve_directory_structure { key.trim_start_matches('/') } else { name };
        let leads_out = relative.split('/').any(|part| part == "." || part == "..");
        if name.is_empty() || leads_out || relative.contains('\0') {
            return Err(Error::new(ErrorKind::Unsupported, "the key cannot be the path of a file")
                .hint("rename the object, or leave it out by the globs"));
        }
        Ok(relative)
    }

    /// A name of 32 digits for what is transferred: the same for the same object.
    fn name(&self, object: &ObjectFacts) -> String {
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(salt);
            for part in [&self.bucket, &self.stream.name, &*object.key, &*object.etag] {
                hasher.write(part.as_bytes());
                hasher.write_u8(0xff);
            }
            hasher.finish()
        };
        format!("{:016x}{:016x}", half(0), half(1))
    }

    /// Whether files are put beside one another.
    pub(super) fn flat(&self) -> bool {
        !self.preserve_directory_structure
    }

    /// Two files of one name would be one where folders are not kept: better none than the wrong one.
    ///
    /// # Errors
    /// `Config`, naming both.
    pub(super) async fn check_names(&self, mut files: Files) -> Result<()> {
        let mut seen: HashMap<Box<str>, Arc<str>> = HashMap::new();
        while let Some((object, _)) = files.next().await? {
            let name = object.key.rsplit('/').next().unwrap_or_default();
            if let Some(other) = seen.insert(name.into(), Arc::clone(&object.key)) {
                return Err(Error::config(format!("two files of the stream have the name '{name}'"))
                    .with("key", &object.key)
                    .with("other_key", other)
                    .hint("set `preserve_directory_structure` to true, or narrow the globs"));
            }
        }
        Ok(())
    }

    /// Transfers an object, unless `from` says that it was.
    pub(super) async fn run(
        &self,
        shared: &Shared,
        store: &Store,
        object: &ObjectFacts,
        from: &Position,
        alone: bool,
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
            return Err(Error::new(ErrorKind::Limit, "the file is larger than the limit of file transfer allows")
                .with("size_bytes", object.size)
                .with("limit_bytes", MOST_BYTES));
        }
        let name = self.name(object);
        let path = self.folder.join(&name).join(relative);
        let part = Part::create(self.folder.join(format!("{name}.part")))?;
        let bytes = Bytes::new(store, object, 0, None, alone, &shared.budgets.fetched);
        let Some(part) = download(shared, bytes, object, part).await? else { return Ok(FileEnd::Stopped) };
        part.keep(&path)?;
        self.emit(shared, object, relative, &path).await?;
        Ok(FileEnd::Read)
    }

    async fn emit(&self, shared: &Shared, object: &ObjectFacts, relative: &str, path: &Path) -> Result<()> {
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
            emitted_at: shared.clock.now(),
        });
        let lines = line.into_bytes();
        let reservation = shared.budgets.output.reserve(lines.len()).await;
        let after = Position::new(1, Place::RowGroup { group: 0, row: 1 });
        let key = Arc::clone(&object.key);
        shared.progress.add_rows(1, lines.len() as u64);
        let batches = Vec::new();
        shared.progress.advance();
        shared.outgoing.send(Event::Rows { key, lines, rows: 1, bad_rows: 0, after, batches, reservation }).await;
        Ok(())
    }
}

/// Writes an object's bytes. `None`: the run was asked to stop before all were there.
async fn download(shared: &Shared, mut bytes: Bytes, object: &ObjectFacts, mut part: Part) -> Result<Option<Part>> {
    loop {
        let Some(next) = shared.stop.unless(bytes.next()).await else { return Ok(None) };
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
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Limit,
        std::io::ErrorKind::InvalidFilename => ErrorKind::Unsupported,
        _ => ErrorKind::Config,
    };
    Error::new(kind, "a file cannot be written into the staging folder")
        .with("path", path.display())
        .caused_by(error)
        .hint("make the folder that AIRBYTE_STAGING_DIRECTORY names writable, with room for the files in flight")
}

/// The folder that the platform shares with the destination, if it is there, else one of the system's for what passes.
fn staging_folder() -> PathBuf {
    let named = std::env::var_os("AIRBYTE_STAGING_DIRECTORY").filter(|name| !name.is_empty());
    let folder = named.map_or_else(|| PathBuf::from(STAGING), PathBuf::from);
    if folder.is_dir() { folder } else { std::env::temp_dir().join("airbyte-file-transfer") }
}
