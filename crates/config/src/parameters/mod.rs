//! The parameters, by topic. A topic's file has everything about its parameters: what is written (with the description
//! that becomes the specification's), the defaults of each dialect, what values are accepted, what they mean, and how
//! that is written in the native form.

pub(crate) mod archived;
pub(crate) mod bad_rows;
pub(crate) mod compression;
pub(crate) mod connection;
pub(crate) mod credentials;
pub(crate) mod decompression;
pub(crate) mod delivery;
pub(crate) mod development;
pub(crate) mod flattening;
pub(crate) mod formats;
pub(crate) mod history;
pub(crate) mod inventory;
pub(crate) mod partitions;
pub(crate) mod pushdown;
pub(crate) mod schema;
pub(crate) mod selection;
mod span;
pub(crate) mod spending;
pub(crate) mod validation;
pub(crate) mod workload;
