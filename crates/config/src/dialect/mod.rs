//! The dialects: how each is recognised, what its defaults are, and one file for each with what is only its own.

pub(crate) mod airbyte;
pub(crate) mod airbyte_v3;
mod defaults;
pub(crate) mod fivetran;
mod fivetran_format;
pub(crate) mod flat;
mod kind;

pub(crate) use defaults::PerDialect;
pub(crate) use kind::{Dialect, one_dialect, recognise};
