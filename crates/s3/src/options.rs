//! The settings of the client that are not part of a connection.

use std::time::Duration;

use super::observe::Observer;
use tollgate_cost::Gate;
use tollgate_runtime::clock::Clock;

/// How long a connection may be idle. S3 closes connections after about 20 s, and a request on a connection that is
/// being closed is a lost attempt.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeouts, parallelism and the limits of a [`super::Store`].
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The time that requests are signed with.
    pub clock: Clock,
    /// Admits or refuses each HTTP attempt.
    pub gate: Gate,
    /// Called for each HTTP attempt.
    pub observer: Option<Observer>,
    /// How long a request is retried until the head of a response arrives. Also how long a body is resumed without
    /// progress.
    pub retry_timeout: Duration,
    /// The same if the server never responded before, because its address is probably wrong.
    pub first_answer_timeout: Duration,
    /// The maximum number of attempts per request, including the first. Also how often in a row a body is resumed
    /// without a new byte.
    pub max_attempts: u32,
    /// The pause before the first retry. It doubles with each further retry, with a jitter of up to one half.
    pub initial_backoff: Duration,
    /// The longest pause between two attempts.
    pub max_backoff: Duration,
    /// The timeout for connecting, including TLS.
    pub connect_timeout: Duration,
    /// The timeout from a request to the head of its response.
    pub answer_timeout: Duration,
    /// How long a reader waits for the next byte of a body before the connection is abandoned. Also the timeout for the
    /// whole body of an error.
    pub stall_timeout: Duration,
    /// The minimum rate of a body in bytes per second while a reader waits for it, measured over [`Self::rate_window`].
    pub least_bytes_per_second: u32,
    /// Waiting time over which a body's rate is measured.
    pub rate_window: Duration,
    /// The timeout for credentials from a credentials provider.
    pub credentials_timeout: Duration,
    /// Connections kept open for reuse. This should be the number of concurrent requests.
    pub idle_connections: usize,
    /// Whether `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are used.
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
