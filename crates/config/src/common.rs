//! The parameters that every dialect has at its root. In version 4 of Airbyte's form, each stream also has some of
//! them.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::dialect::Dialect;
use crate::input::{Levels, Object, fields_of, part_of, section, without_defaults};
use crate::job::{Job, Stream};
use crate::json_schema::properties_of;
use crate::parameters::archived::ArchivedInput;
use crate::parameters::bad_rows::BadRowsInput;
use crate::parameters::connection::{RequesterInput, TransportInput};
use crate::parameters::decompression::DecompressionInput;
use crate::parameters::development::DevelopmentInput;
use crate::parameters::flattening::FlatteningInput;
use crate::parameters::history::HistoryInput;
use crate::parameters::inventory::InventoryInput;
use crate::parameters::partitions::{FOLDERS, PartitionsInput};
use crate::parameters::pushdown::PushdownInput;
use crate::parameters::schema::SchemaInput;
use crate::parameters::spending::SpendingInput;
use crate::parameters::workload::{Workload, WorkloadInput};
use crate::provenance::ProvenanceLog;
use tollgate_base::connection::Connection;
use tollgate_base::error::Result;
use tollgate_base::options::{Caps, FormatOptions};
use tollgate_base::spending::Spending;

/// Declares a set of topics that stand in one object: how they are read, what they are called, and their schema.
macro_rules! topics {
    ($(#[$doc:meta])* $name:ident { $($topic:ident: $Input:ty,)* }) => {
        $(#[$doc])*
        pub(crate) struct $name {
            $($topic: $Input,)*
        }

        impl $name {
            /// Reads them out of an object that has other keys too.
            ///
            /// # Errors
            /// Config, as all reading.
            fn read(object: &Object, path: &str, log: &mut ProvenanceLog) -> Result<Self> {
                Ok(Self { $($topic: part_of(object, path, log)?,)* })
            }

            /// The names of their parameters.
            pub(crate) fn names() -> Vec<&'static str> {
                [$(fields_of::<$Input>(),)*].concat()
            }

            /// Their schemas by name.
            pub(crate) fn properties() -> Map<String, Value> {
                [$(properties_of::<$Input>(),)*].into_iter().flatten().collect()
            }
        }
    };
}

topics! {
    /// Parameters that are only at the root.
    RootParameters {
        requester: RequesterInput,
        workload: WorkloadInput,
        history: HistoryInput,
        transport: TransportInput,
        pushdown: PushdownInput,
        decompression: DecompressionInput,
        spending: SpendingInput,
        archived: ArchivedInput,
        development: DevelopmentInput,
    }
}

topics! {
    /// Parameters at the root for all streams. In version 4 of Airbyte's form, each stream also has them, and takes
    /// precedence.
    StreamParameters {
        bad_rows: BadRowsInput,
        schema: SchemaInput,
        flattening: FlatteningInput,
    }
}

/// The names of the parameters about partitions and inventories, which stand at the root or in a stream.
fn layout_names() -> Vec<&'static str> {
    [fields_of::<PartitionsInput>(), fields_of::<InventoryInput>()].concat()
}

/// Their schemas by name.
pub(crate) fn layout_properties() -> Map<String, Value> {
    properties_of::<PartitionsInput>().into_iter().chain(properties_of::<InventoryInput>()).collect()
}

/// The common parameters of a configuration, as written.
pub(crate) struct CommonParameters {
    dialect: Dialect,
    root: RootParameters,
    stream: StreamParameters,
}

/// A stream that a dialect has read, and the object with its own parameters, where the dialect has such objects.
pub(crate) struct StreamDraft<'a> {
    stream: Stream,
    /// The stream's object and its path.
    own: Option<(&'a Object, String)>,
}

impl From<Stream> for StreamDraft<'_> {
    fn from(stream: Stream) -> Self {
        Self { stream, own: None }
    }
}

/// The names of the parameters that a stream can have besides those of Airbyte's form.
pub(crate) fn names_in_streams() -> Vec<&'static str> {
    [fields_of::<PushdownInput>().to_vec(), StreamParameters::names(), layout_names()].concat()
}

/// The schemas of the parameters that a stream can have besides those of Airbyte's form.
pub(crate) fn properties_in_streams() -> Map<String, Value> {
    let layout = layout_properties();
    properties_of::<PushdownInput>().into_iter().chain(StreamParameters::properties()).chain(layout).collect()
}

/// Reads the root of a configuration: the parameters of the dialect, and the common parameters. `also_known` names keys
/// that are neither.
///
/// # Errors
/// Config, with the JSON path of what is wrong.
pub(crate) fn read_root<T>(
    dialect: Dialect,
    object: &Object,
    also_known: &[&'static str],
    log: &mut ProvenanceLog,
) -> Result<(T, CommonParameters)>
where
    T: DeserializeOwned + Serialize,
{
    let common = [RootParameters::names(), StreamParameters::names(), layout_names()];
    let input: T = section(object, "", &[common.concat().as_slice(), also_known].concat(), log)?;
    let stream = StreamParameters::read(object, "", log)?;
    Ok((input, CommonParameters { dialect, root: RootParameters::read(object, "", log)?, stream }))
}

impl CommonParameters {
    /// The job, from the parameters of the dialect and the common parameters in `object`, the root.
    ///
    /// # Errors
    /// Config, with the JSON path of what is wrong.
    pub(crate) fn into_job(
        self,
        connection: Connection,
        mut drafts: Vec<StreamDraft<'_>>,
        object: &Object,
        log: &mut ProvenanceLog,
    ) -> Result<Job> {
        for StreamDraft { stream, .. } in drafts.iter_mut().filter(|draft| draft.own.is_none()) {
            lay_out(self.dialect, stream, object, "", log)?;
        }
        let mut own = Vec::with_capacity(drafts.len());
        for draft in &drafts {
            own.push(match &draft.own {
                Some((object, path)) => Some(OwnParameters::read(object, path, log)?),
                None => None,
            });
        }
        let streams = drafts.into_iter().map(|draft| draft.stream).collect();
        let mut job = self.of_root(connection, streams, log)?;
        self.of_streams(&mut job.streams, &own, log)?;
        self.note_defaults(log);
        self.push_down(&mut job.streams, &own, log)?;
        Ok(job)
    }

    /// What the root says about partitions and inventories for streams that do not say it themselves.
    ///
    /// # Errors
    /// Config, with the JSON path of what is wrong.
    pub(crate) fn layout_of_root(&self, object: &Object, log: &mut ProvenanceLog) -> Result<Object> {
        let _: (PartitionsInput, InventoryInput) = (part_of(object, "", log)?, part_of(object, "", log)?);
        let names = layout_names();
        let written = |key: &str, value: &Value| names.contains(&key) && !value.is_null();
        let root: Object =
            object.iter().filter(|(key, value)| written(key, value)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if !root.is_empty() {
            // What is wrong with it is named where it stands.
            let mut nobody = Stream::new(self.dialect, String::new(), FormatOptions::Jsonl);
            lay_out(self.dialect, &mut nobody, &root, "", &mut ProvenanceLog::default())?;
        }
        PartitionsInput::note_objects(&root, "", log);
        Ok(root)
    }

    /// A stream with parameters of its own, in the object at `path`. `layout` is that of the root.
    ///
    /// # Errors
    /// Config, with the JSON path of what is wrong.
    pub(crate) fn draft<'a>(
        &self,
        mut stream: Stream,
        (own, path): (&'a Object, String),
        layout: &Object,
        log: &mut ProvenanceLog,
    ) -> Result<StreamDraft<'a>> {
        lay_out(self.dialect, &mut stream, &with_root(own, layout), &path, log)?;
        Ok(StreamDraft { stream, own: Some((own, path)) })
    }

    /// Parameters that are only at the root.
    fn of_root(&self, mut connection: Connection, mut streams: Vec<Stream>, log: &mut ProvenanceLog) -> Result<Job> {
        let root = &self.root;
        let Workload { parallel_files, batch_rows } = root.workload.parse(self.dialect, log)?;
        let caps: Caps = root.decompression.parse(log)?;
        let spending: Spending = root.spending.parse(self.dialect, log)?;
        let development = root.development.parse()?;
        let history = root.history.parse()?;
        for stream in &mut streams {
            stream.batch_rows = batch_rows;
            stream.history = history;
            stream.on_archived = root.archived.on_archived;
            stream.development = development;
        }
        root.requester.apply(&mut connection);
        root.transport.apply(&mut connection);
        Ok(Job { connection, streams, provenance: Vec::new(), parallel_files, spending, caps })
    }

    /// What a stream says itself, or else the root.
    fn of_streams(&self, streams: &mut [Stream], own: &[Option<OwnParameters>], log: &mut ProvenanceLog) -> Result<()> {
        let only = streams.len() == 1;
        for (stream, own) in streams.iter_mut().zip(own) {
            let own = own.as_ref().map(|own| (&own.stream, own.path.as_str()));
            let levels = Levels { root: &self.stream, own, only };
            stream.bad_rows = BadRowsInput::parse(&levels.of(|topics| &topics.bad_rows), log)?;
            let schema = levels.of(|topics| &topics.schema);
            stream.schema = SchemaInput::parse(&schema, stream.schemaless, log);
            let flattening = levels.of(|topics| &topics.flattening);
            stream.flatten = FlatteningInput::parse(&flattening, self.dialect, stream.schemaless, log)?;
        }
        Ok(())
    }

    /// Records what holds where nothing is written at the root.
    fn note_defaults(&self, log: &mut ProvenanceLog) {
        self.stream.flattening.note_defaults(self.dialect, log);
        self.stream.bad_rows.note_defaults(log);
        self.stream.schema.note_defaults(log);
    }

    /// Which rows and columns are wanted.
    fn push_down(&self, streams: &mut [Stream], own: &[Option<OwnParameters>], log: &mut ProvenanceLog) -> Result<()> {
        let root = self.root.pushdown.parse("")?;
        root.note_unused_columns(streams.iter().any(Stream::may_be_parquet), log);
        for (index, (stream, own)) in streams.iter_mut().zip(own).enumerate() {
            let other_format = Some(stream.format.name()).filter(|_| !stream.may_be_parquet());
            stream.pushdown = match own {
                Some(own) => own.pushdown.parse(&own.path)?,
                None => Default::default(),
            }
            .or_of_root(&root, other_format, &format!("streams[{index}]"), log);
        }
        Ok(())
    }
}

/// The common parameters that a stream has itself.
struct OwnParameters {
    path: String,
    pushdown: PushdownInput,
    stream: StreamParameters,
}

impl OwnParameters {
    fn read(object: &Object, path: &str, log: &mut ProvenanceLog) -> Result<Self> {
        let pushdown = part_of(object, path, log)?;
        Ok(Self { path: path.to_owned(), pushdown, stream: StreamParameters::read(object, path, log)? })
    }
}

/// Sets the partitions and the inventory of a stream, from the object that has their parameters.
fn lay_out(dialect: Dialect, stream: &mut Stream, object: &Object, path: &str, log: &mut ProvenanceLog) -> Result<()> {
    stream.partitions = PartitionsInput::parse(object, dialect, &stream.format, path, log)?;
    stream.inventory = part_of::<InventoryInput>(object, path, log)?.parse(path)?;
    Ok(())
}

/// What a stream says, and what the root says where the stream says nothing.
fn with_root(own: &Object, root: &Object) -> Object {
    let says = |key: &str| own.get(key).is_some_and(|value| !value.is_null());
    let folders = FOLDERS.into_iter().any(says);
    let mut all = own.clone();
    let missing = root.iter().filter(|(key, _)| !(says(key) || folders && FOLDERS.contains(&key.as_str())));
    all.extend(missing.map(|(key, value)| (key.clone(), value.clone())));
    all
}

/// The common parameters of a job in the native form: those of the root.
pub(crate) fn native_root(job: &Job) -> Object {
    let workload = Workload {
        parallel_files: job.parallel_files,
        // Every dialect has one batch size for all of its streams, and so with what follows.
        batch_rows: job.streams.iter().find_map(|stream| stream.batch_rows),
    };
    let mut object = Object::new();
    object.extend(without_defaults(&RequesterInput::from(&job.connection), &[]));
    object.extend(without_defaults(&WorkloadInput::from(workload), &[]));
    object.extend(without_defaults(&DecompressionInput::from(job.caps), &[]));
    object.extend(without_defaults(&SpendingInput::from(&job.spending), &[]));
    if let Some(stream) = job.streams.first() {
        object.extend(without_defaults(&ArchivedInput { on_archived: stream.on_archived }, &[]));
        object.extend(without_defaults(&DevelopmentInput::from(stream.development), &[]));
    }
    object.extend(without_defaults(&TransportInput::from(&job.connection), &[]));
    if let Some(stream) = job.streams.first() {
        object.extend(without_defaults(&HistoryInput::from(stream.history), &[]));
    }
    object
}

/// The common parameters of a stream in the native form.
pub(crate) fn native_stream(stream: &Stream) -> Object {
    let mut object = Object::new();
    object.extend(without_defaults(&BadRowsInput::from(&stream.bad_rows), &[]));
    object.extend(without_defaults(&SchemaInput::from(stream.schema), &[]));
    object.extend(without_defaults(&FlatteningInput::of_depth(stream.flatten), &[]));
    object.extend(without_defaults(&PushdownInput::from(&stream.pushdown), &[]));
    object.extend(without_defaults(&PartitionsInput::native(&stream.partitions, &stream.format), &[]));
    object.extend(without_defaults(&InventoryInput::from(stream.inventory.as_ref()), &[]));
    object
}
