//! File transfer: objects are put into a folder as they are stored, and a record says where each is.
//!
//! ```text
//!   body ─▶ FOLDER/HASH.part ─ complete? rename ─▶ FOLDER/HASH/relative/path ─▶ RECORD with file_reference ─▶ STATE
//! ```
//!
//! The platform mounts the folder into the destination as well. A file is complete before its record is written, and one
//! that is not is removed. Names come from what is read, so that a file that is transferred again takes its own place.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use md5::{Digest as _, Md5};

use crate::select::queue::FileQueue;
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_config::job::{Delivery, Job, Stream};
use tollgate_protocol::catalog::ConfiguredStream;

/// Where the platform's files are, unless the environment says otherwise.
const STAGING: &str = "/staging/files";

/// How the files of a stream are transferred.
pub(crate) struct Transfer {
    pub(crate) folder: PathBuf,
    pub(crate) bucket: String,
    pub(crate) stream: ConfiguredStream,
    pub(crate) preserve_directory_structure: bool,
}

impl Transfer {
    /// The transfer that a stream asks for, if it does.
    pub(crate) fn of(job: &Job, stream: &Stream, configured: &ConfiguredStream) -> Option<Self> {
        let Delivery::Files { preserve_directory_structure } = stream.delivery else { return None };
        let bucket = job.connection.bucket.clone();
        Some(Self { folder: staging_folder(), bucket, stream: configured.clone(), preserve_directory_structure })
    }

    /// The path of an object below its folder.
    pub(crate) fn relative<'k>(&self, key: &'k str) -> Result<&'k str> {
        let name = key.rsplit('/').next().unwrap_or(key);
        let relative = if self.preserve_directory_structure { key.trim_start_matches('/') } else { name };
        let leads_out = relative.split('/').any(|part| part == "." || part == "..");
        if name.is_empty() || leads_out || relative.contains('\0') {
            return Err(Error::new(ErrorKind::Unsupported, "the key cannot be the path of a file")
                .hint("rename the object, or exclude it with the globs"));
        }
        Ok(relative)
    }

    /// A name of 32 digits for what is transferred: the same for the same object.
    pub(crate) fn name(&self, object: &ObjectFacts) -> String {
        let mut hasher = Md5::new();
        for part in [&self.bucket, &self.stream.name, &*object.key, &*object.etag] {
            hasher.update(part.as_bytes());
            hasher.update([0xff]);
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether files are put beside one another.
    pub(crate) fn flat(&self) -> bool {
        !self.preserve_directory_structure
    }

    /// Two files of one name would be one where folders are not kept: better none than the wrong one.
    ///
    /// # Errors
    /// `Config`, naming both.
    pub(crate) async fn check_names(&self, mut files: FileQueue) -> Result<()> {
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
}

/// The folder that the platform shares with the destination, if it is there, else one of the system's for what passes.
fn staging_folder() -> PathBuf {
    let named = std::env::var_os("AIRBYTE_STAGING_DIRECTORY").filter(|name| !name.is_empty());
    let folder = named.map_or_else(|| PathBuf::from(STAGING), PathBuf::from);
    if folder.is_dir() { folder } else { std::env::temp_dir().join("airbyte-file-transfer") }
}
