//! The dialects: how each is recognised, its defaults, and one file for each with its own parameters.

pub(crate) mod airbyte;
pub(crate) mod airbyte_v3;
mod defaults;
pub(crate) mod fivetran;
mod fivetran_format;
pub(crate) mod flat;
mod kind;

pub(crate) use defaults::PerDialect;
pub(crate) use kind::{Dialect, one_dialect, recognise};
