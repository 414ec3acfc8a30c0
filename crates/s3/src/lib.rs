//! The only S3 client: every request of the program is signed, retried, metered and limited here. No other crate uses
//! the SDK.
//!
//! ```text
//!   Store::list / get / head / put
//!     │  region found out once (region)          errors explained (error)
//!     ▼
//!     │  one attempt after the other (retry)
//!   SDK client: signing                          built in client, credentials in identity
//!     ▼  each attempt
//!   Meter: gate asks the budget ─▶ HTTP ─▶ answer ─▶ ledger row
//!     ▼                                       └─▶ body: bytes counted as they arrive, stalls noticed
//!   Body: pieces of the object, continued by a ranged GET where the stream broke, with one checksum over all of them
//! ```

// The futures of the SDK are nested deeply, and ours lie around them.
#![recursion_limit = "256"]

mod body;
mod ca_bundle;
mod checksum;
mod client;
mod context;
mod error;
mod identity;
mod listing;
mod meter;
mod observe;
mod options;
mod own_certificate;
mod page;
mod region;
mod retry;
mod service_error;
mod span;
mod store;
#[cfg(test)]
mod tests;
mod wrapped_client;

pub use body::Body;
pub use checksum::Checksum;
pub use listing::{KeyOrder, ListPage, ListRequest};
pub use observe::{Attempted, Observer};
pub use options::StoreOptions;
pub use store::Store;
