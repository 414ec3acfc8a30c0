//! Configurations: each dialect as written becomes one typed [`job::Job`] with a line of provenance per parameter.
//!
//! ```text
//!   bytes ─▶ read::root ─▶ dialect::recognise ─▶ dialect::{airbyte, airbyte_v3, flat, fivetran}
//!                                                   as written (strict, names the path) ─▶ Job + provenance
//! ```
//! Nothing else in the program sees a configuration as it was written. The room is pure: it opens no files and looks
//! at no environment, so that the same bytes always mean the same job.

mod defaults;
mod dialect;
mod identity;
pub mod job;
mod native;
mod notes;
mod place;
mod read;
pub mod spec;
#[cfg(test)]
mod tests;

use serde_json::Value;

use job::{Job, Provenance};
use notes::Notes;
use tollgate_base::error::Result;

/// Understands a configuration of any dialect.
///
/// # Errors
/// Config when it is not JSON or a value is not what it should be: the message names the JSON path, the value and the
/// values that would be right. Unsupported when it asks for something that is known and not done yet. No message
/// shows a secret.
pub fn parse(bytes: &[u8]) -> Result<Job> {
    understand(bytes, Notes::supported)
}

/// A configuration in the one form that can say everything, and how each parameter was understood.
#[derive(Debug, Clone)]
pub struct Translation {
    /// The configuration that means the same, in version 4.16 of Airbyte's form with this program's additions. What
    /// is the default there is left out, what is refused as well, and each secret is `****`.
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
    let job = understand(bytes, |_| Ok(()))?;
    Ok(Translation { config: native::configuration(&job), provenance: job.provenance })
}

fn understand(bytes: &[u8], verdict: impl FnOnce(&Notes) -> Result<()>) -> Result<Job> {
    let object = read::root(bytes)?;
    let secrets = notes::secrets_of(&object);
    let mut notes = Notes::default();
    let understood = dialect::understand(object, &mut notes).and_then(|job| verdict(&notes).map(|()| job));
    let mut job = understood.map_err(|error| notes::without_secrets(error, &secrets))?;
    job.provenance = notes.into_lines();
    notes::lines_without_secrets(&mut job.provenance, &secrets);
    Ok(job)
}
