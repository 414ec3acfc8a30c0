//! Airbyte protocol messages, in and out (protocol 0.2.0 as the platform of 2026 reads it).

pub mod catalog;
pub mod message;
pub mod sink;
pub mod state_file;
