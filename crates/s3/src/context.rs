//! What an error message is made of, besides the error: what was asked for, and over which connection.

use tollgate_cost::Planned;

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestTarget<'a> {
    pub(super) planned: Planned,
    pub(super) bucket: &'a str,
    /// The key, or the prefix of a listing.
    pub(super) key: &'a str,
}

/// What is known of the connection when an error is explained.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionContext<'a> {
    pub(super) region: &'a str,
    pub(super) endpoint: Option<&'a str>,
    /// Whether this server ever answered.
    pub(super) answered: bool,
    pub(super) attempts: u32,
    pub(super) anonymous: bool,
    pub(super) requester_pays: bool,
}
