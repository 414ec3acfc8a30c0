//! Configurations: each dialect as written becomes one typed [`job::Job`] with a line of provenance per parameter.
//!
//! ```text
//!   input      reads objects into typed structs, strictly        provenance  says how each parameter was understood
//!   parameters one file for each topic                           dialect     one file for each dialect
//!   common     puts the parameters that all dialects share into the job
//!
//!   bytes ─▶ input::root ─▶ dialect::recognise ─▶ dialect::{airbyte, airbyte_v3, flat, fivetran}::parse ─┐
//!                                                                Job + provenance ◀─ common::into_job ◀──┘
//! ```
//! No other code sees a configuration as it was written. The crate is pure: it opens no files and does not read the
//! environment, so the same bytes always mean the same job.

mod common;
mod dialect;
mod input;
pub mod job;
mod json_schema;
mod location;
mod parameters;
mod provenance;
pub mod spec;
#[cfg(test)]
mod tests;

use serde_json::Value;

use dialect::{Dialect, airbyte, airbyte_v3, fivetran, flat, one_dialect, recognise};
use input::Object;
use job::{Job, Stream};
use provenance::{Provenance, ProvenanceLog};
use tollgate_base::error::{Error, Result};

/// Parses a configuration of any dialect.
///
/// # Errors
/// Config when it is not JSON or a value is not what it should be: the message names the JSON path, the value and the
/// values that would be right. Unsupported when it asks for something that is known and not supported yet. No message
/// shows a secret.
pub fn parse(bytes: &[u8]) -> Result<Job> {
    parse_if(bytes, ProvenanceLog::supported)
}

/// A configuration in the one form that can say everything, and how each parameter was understood.
#[derive(Debug, Clone)]
pub struct Translation {
    /// The configuration that means the same, in version 4.16 of Airbyte's form with this program's parameters.
    /// Parameters that have their default there are left out, as are those that are refused, and each secret is `****`.
    pub config: Value,
    /// A line per parameter, in the order of reading; never with a secret.
    pub provenance: Vec<Provenance>,
}

/// Shows how a configuration of any dialect is understood. Parameters that are refused have their line and are no error
/// here, so that all of them can be seen.
///
/// # Errors
/// As [`parse`], but for refused parameters.
pub fn translate(bytes: &[u8]) -> Result<Translation> {
    let job = parse_if(bytes, |_| Ok(()))?;
    Ok(Translation { config: Value::Object(airbyte::native(&job)), provenance: job.provenance })
}

/// Parses a configuration unless the log of its parameters is refused.
fn parse_if(bytes: &[u8], accepted: impl FnOnce(&ProvenanceLog) -> Result<()>) -> Result<Job> {
    let object = input::root(bytes)?;
    let secrets = provenance::secrets_of(&object);
    let mut log = ProvenanceLog::default();
    let parsed = parse_object(object, &mut log).and_then(|job| accepted(&log).map(|()| job));
    let mut job = parsed.map_err(|error| provenance::without_secrets(error, &secrets))?;
    job.provenance = log.into_lines();
    provenance::lines_without_secrets(&mut job.provenance, &secrets);
    Ok(job)
}

/// Turns a configuration into a job; its provenance goes to the log.
fn parse_object(object: Object, log: &mut ProvenanceLog) -> Result<Job> {
    let (object, enveloped) = fivetran::unwrapped(object, log)?;
    let dialect = if enveloped { Dialect::Fivetran } else { recognise(&object) };
    let job = match dialect {
        Dialect::Airbyte => airbyte::parse(&object, log)?,
        Dialect::Flat => flat::parse(object, log)?,
        Dialect::AirbyteV3 => airbyte_v3::parse(object, log)?,
        Dialect::Fivetran => {
            one_dialect(&object)?;
            fivetran::parse(object, log)?
        }
    };
    unique_names(&job.streams)?;
    Ok(job)
}

/// Two streams of one name cannot be told apart in catalog, records and state.
fn unique_names(streams: &[Stream]) -> Result<()> {
    let mut seen = std::collections::HashMap::new();
    for (index, stream) in streams.iter().enumerate() {
        if let Some(first) = seen.insert(stream.name.as_str(), index) {
            let message = format!("`streams[{index}].name` is '{}', the same as `streams[{first}].name`", stream.name);
            return Err(Error::config(message).hint("give each stream a unique name"));
        }
    }
    Ok(())
}
