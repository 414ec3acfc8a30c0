//! A stream's files and their batches, for consumers that want rows and not records: conversion to Arrow, queries.

use std::sync::Arc;

use crate::files::archive;
use crate::files::budgets::Budgets;
use crate::files::file_reader::{Extent, FileReader, ReadResources};
use crate::files::stop::Stop;
use crate::options::DEFAULT_MEMORY_BYTES;
use crate::select::keys::Keys;
use crate::select::list_files::{list, stream_named};
use crate::select::row_selection::{self, RowSelection};
use crate::verbs::discover;
use tollgate_base::batch::{Batch, InferredColumn, Position};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::object::ObjectFacts;
use tollgate_base::options::{FormatOptions, InferenceDepth, ParquetOptions};
use tollgate_base::schema::Columns;
use tollgate_config::job::{Job, Stream};
use tollgate_cursor::{Cursor, FullRefresh, StreamState};
use tollgate_format::{DecodeLimits, OpenOptions};
use tollgate_plan::partition::columns::PartitionConstant;
use tollgate_plan::partition::layout::Layout;
use tollgate_record::flatten::Flattener;
use tollgate_record::row_filter::FileRowFilter;
use tollgate_runtime::clock::Clock;
use tollgate_s3::Store;

/// The files of one stream, and what is wanted of them.
pub struct Scan {
    stream: Stream,
    resources: ReadResources,
    selection: RowSelection,
    keys: Keys,
    layout: Option<Arc<Layout>>,
    limits: DecodeLimits,
    files: Vec<ObjectFacts>,
}

impl Scan {
    /// Lists the files of a stream, whatever was read of it before.
    ///
    /// # Errors
    /// `Config` for a stream that the job does not have, and what listing fails with.
    pub async fn list(job: &Job, stream: &str, store: &Store, clock: Clock) -> Result<Self> {
        let stream = stream_named(&job.streams, stream)?;
        let resources = ReadResources::new(store.clone(), DEFAULT_MEMORY_BYTES, Stop::default());
        let cursor = Cursor::FullRefresh(FullRefresh::new(StreamState::default(), None));
        let columns = row_selection::columns(stream, &Columns::All);
        let selection = RowSelection::new(stream, &Columns::All, &columns, &cursor)?;
        let files = list(store, stream, cursor, clock.now(), true, &resources.stop).await?;
        let files = files.ok_or_else(|| Error::internal("a listing was stopped by nobody"))?;
        Ok(Self {
            keys: files.keys().clone(),
            layout: files.partitions().layout.clone(),
            files: files.remaining().into_iter().flatten().map(|(object, _)| object).collect(),
            limits: DecodeLimits { caps: job.caps, array_rows: stream.schemaless, ..DecodeLimits::default() },
            stream: stream.clone(),
            resources,
            selection,
        })
    }

    /// The format of the files.
    #[must_use]
    pub fn format(&self) -> &FormatOptions {
        &self.stream.format
    }

    /// The files, in the order of their keys.
    #[must_use]
    pub fn files(&self) -> &[ObjectFacts] {
        &self.files
    }

    /// The columns of the newest files, with all that is known of their types: what `discover` says under
    /// `schema_inference: rich`.
    ///
    /// # Errors
    /// What no file can be sampled for.
    pub async fn columns(&self) -> Result<Vec<InferredColumn>> {
        let mut newest = self.files.clone();
        newest.sort_unstable_by(|a, b| (b.modified_at, &a.key).cmp(&(a.modified_at, &b.key)));
        newest.truncate(discover::SAMPLE_FILES);
        let store = &self.resources.store;
        let mut stream = self.stream.clone();
        stream.schema.inference = InferenceDepth::Rich;
        discover::columns_of(&stream, store, &newest, self.layout.as_deref(), &mut Vec::new()).await
    }

    /// Opens a file. Each open file has a memory budget of its own, so that one task can read several in turns.
    ///
    /// # Errors
    /// `Unsupported` for an archive, `Data` for a key that does not fit the partitions, and as [`FileReader::open`].
    pub fn open(&self, file: &ObjectFacts) -> Result<FileScan> {
        if archive::is_archive(&self.stream, file) {
            return Err(Error::new(ErrorKind::Unsupported, "the members of zip archives cannot be scanned"));
        }
        if let Some(reason) = self.keys.partition_error(&file.key) {
            return Err(Error::data(format!("Partition error: {reason}")).with("key", &file.key));
        }
        let constants = self.keys.constants(&file.key);
        let options = OpenOptions {
            compression: self.stream.compression.resolve(&file.key),
            projection: &self.selection.projection,
            limits: self.limits,
            predicates: row_selection::given(&self.selection.predicates, &constants),
            ..OpenOptions::new(&self.stream.format)
        };
        let parquet = match &self.stream.format {
            FormatOptions::Parquet(parquet) => *parquet,
            _ => ParquetOptions::default(),
        };
        let resources = ReadResources { budgets: Budgets::new(DEFAULT_MEMORY_BYTES), ..self.resources.clone() };
        let filter = self.selection.row_filter.as_ref();
        Ok(FileScan {
            reader: FileReader::open(&resources, file, &options, Extent::default())?,
            row_filter: filter.map(|filter| filter.file_given(|name| row_selection::known(&constants, name))),
            flattener: self.stream.flatten.map(|depth| Flattener::new(depth, parquet)),
            constants,
        })
    }
}

/// The rows of one file that pass the stream's filters.
pub struct FileScan {
    reader: FileReader,
    row_filter: Option<FileRowFilter>,
    flattener: Option<Flattener>,
    constants: Vec<PartitionConstant>,
}

impl FileScan {
    /// The columns that the file gets from its key, which its batches do not have.
    #[must_use]
    pub fn constants(&self) -> &[PartitionConstant] {
        &self.constants
    }

    /// The next rows and the position after them; `None` when all were handed over.
    ///
    /// # Errors
    /// The first bad row, and what reading fails with.
    pub async fn next_batch(&mut self) -> Result<Option<(Batch, Position)>> {
        let Some(decoded) = self.reader.next_batch().await? else { return Ok(None) };
        let mut batch = decoded.batch;
        if let Some(flattener) = &mut self.flattener {
            batch = flattener.flatten(batch)?;
        }
        if let Some(filter) = &mut self.row_filter {
            batch = filter.apply(batch)?;
        }
        Ok(Some((batch, decoded.after)))
    }
}
