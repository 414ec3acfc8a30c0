//! Airbyte protocol messages, in and out.

pub mod schema;
