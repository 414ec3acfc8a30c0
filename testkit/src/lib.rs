//! An S3-compatible server for tests, the demo and benchmarks.
//!
//! ```text
//!  socket (counts bytes, resets) → service (log, faults, region) → s3s (SigV4, routing, XML) → access → s3_api → Store
//!                    ↑                                                                                   │
//!                    └──────────── answer body (cut, stalled, slowed, counted as it leaves) ←────────────┘
//! ```
//!
//! A [`Server`] runs on threads of its own, so that it can be used from plain tests and from async ones. It keeps
//! objects in memory ([`Store`]), can compute whole buckets instead of storing them ([`VirtualBucket`]), writes one
//! [`Entry`] per HTTP request in the fields of S3's server access logs ([`RequestLog`]), and misbehaves on demand
//! ([`Faults`]). It shares no code with the program under test: its log is the independent count.

mod access;
mod answer;
mod checksums;
mod connection;
mod content;
mod control;
mod failure;
mod faults;
mod list_page;
mod listing;
mod multipart;
mod objects;
mod request_log;
mod s3_api;
mod server;
mod service;
mod store;
mod target;
mod virtual_bucket;

pub use access::{Access, Rule, User};
pub use checksums::Algorithm;
pub use content::{Content, Generate};
pub use faults::{Action, Fault, FaultId, Faults, When};
pub use request_log::{Entry, RequestLog};
pub use server::{Options, Server};
pub use store::{BucketOptions, ListOrder, ObjectOptions, ObjectView, Store, parse_time};
pub use virtual_bucket::{VirtualBucket, VirtualObject};
