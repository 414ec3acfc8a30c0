//! The parameters, by topic. The file of a topic has everything about its parameters: their input struct (its doc
//! comments are the descriptions in the specification), the defaults of each dialect, the accepted values, their
//! meaning, and the native form.

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
