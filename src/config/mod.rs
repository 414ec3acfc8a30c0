//! Configurations: each dialect as written becomes one typed [`job::Job`] with a line of provenance per parameter.

pub mod job;
