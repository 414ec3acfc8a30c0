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
mod notes;
mod place;
mod read;
pub mod spec;
#[cfg(test)]
mod tests;

use crate::error::Result;
use job::Job;
use notes::Notes;

/// Understands a configuration of any dialect.
///
/// # Errors
/// Config when it is not JSON or a value is not what it should be: the message names the JSON path, the value and the
/// values that would be right. Unsupported when it asks for something that is known and not done yet. No message
/// shows a secret.
pub fn parse(bytes: &[u8]) -> Result<Job> {
    let object = read::root(bytes)?;
    let secrets = notes::secrets_of(&object);
    let mut notes = Notes::default();
    let understood = dialect::understand(object, &mut notes).and_then(|job| notes.supported().map(|()| job));
    let mut job = understood.map_err(|error| notes::without_secrets(error, &secrets))?;
    job.provenance = notes.into_lines();
    notes::lines_without_secrets(&mut job.provenance, &secrets);
    Ok(job)
}
