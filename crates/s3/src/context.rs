//! The context of an error message: the request and the connection.

use tollgate_cost::PlannedAttempt;

/// The target of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestTarget<'a> {
    pub(super) planned: PlannedAttempt,
    pub(super) bucket: &'a str,
    /// The key, or the prefix of a listing.
    pub(super) key: &'a str,
}

/// The facts about the connection that explain an error.
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
