//! The settings of the client that are not part of a connection.

use std::time::Duration;

use super::observe::Observer;
use tollgate_cost::Gate;
use tollgate_runtime::clock::Clock;

/// How long a connection may be idle. S3 closes connections after about 20 s, and a request on a connection that is
/// being closed is a lost attempt.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Patience, parallelism and the limit of a [`super::Store`].
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The time that requests are signed with.
    pub clock: Clock,
    /// Admits or refuses each HTTP attempt.
    pub gate: Gate,
    /// Called for each HTTP attempt.
    pub observer: Option<Observer>,
    /// How long a request is tried, from its first attempt to the head of an answer; also how long a body is resumed
    /// without making progress.
    pub retry_timeout: Duration,
    /// The same if the server never responded before, because its address is probably wrong.
    pub first_answer_timeout: Duration,
    /// Attempts per request, the first included; also how often in a row a body is continued without a new byte.
    pub max_attempts: u32,
    /// The pause before the first retry; it doubles with each further one, and up to a half of it is left to chance.
    pub initial_backoff: Duration,
    /// The longest pause between two attempts.
    pub max_backoff: Duration,
    /// The timeout for connecting, including TLS.
    pub connect_timeout: Duration,
    /// Time from a request to the head of its answer.
    pub answer_timeout: Duration,
    /// Time without a byte of a body, while someone waits for it, after which its connection is given up. Also the time for
    /// the whole body of an error.
    pub stall_timeout: Duration,
    /// Bytes per second that a body brings at least while someone waits for it, over [`Self::rate_window`].
    pub least_bytes_per_second: u32,
    /// Waiting time over which a body's rate is measured.
    pub rate_window: Duration,
    /// The timeout for credentials from a credentials provider.
    pub credentials_timeout: Duration,
    /// Connections kept open for reuse; as many as requests at the same time is right.
    pub idle_connections: usize,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are heeded.
    pub proxy_from_environment: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            clock: Clock::System,
            gate: Gate::Open,
            observer: None,
            retry_timeout: Duration::from_secs(180),
            first_answer_timeout: Duration::from_secs(10),
            max_attempts: 24,
            initial_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(10),
            least_bytes_per_second: 1024,
            rate_window: Duration::from_secs(30),
            credentials_timeout: Duration::from_secs(30),
            idle_connections: 64,
            proxy_from_environment: true,
        }
    }
}
