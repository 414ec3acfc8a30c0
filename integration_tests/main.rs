//! Whole commands against the test server, and the rules of the house: one binary, one module per topic.

#![recursion_limit = "256"]

mod check;
mod config;
mod cost;
mod edges;
mod estimates;
mod faults;
mod formats;
mod growth;
mod interruption;
mod inventory;
mod limits;
mod listing;
mod memory;
mod parquet_fixtures;
mod partitions;
mod policies;
mod pushdown;
mod read;
mod s3_door;
mod state;
mod support;
mod verbs;
