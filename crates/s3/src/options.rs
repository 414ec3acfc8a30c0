//! The settings of the door that do not come from a connection.

use std::time::Duration;

use tollgate_cost::Gate;
use tollgate_runtime::clock::Clock;

/// Patience, parallelism and the limit of a [`super::Store`].
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The time that requests are signed with.
    pub clock: Clock,
    /// Asked before each HTTP attempt.
    pub gate: Gate,
    /// Attempts per request, the first included; also how often in a row a body is continued without a new byte.
    pub max_attempts: u32,
    /// The pause before the first retry; it doubles with each further one, by chance up to that.
    pub initial_backoff: Duration,
    /// The longest pause between two attempts.
    pub max_backoff: Duration,
    /// Time for a connection to stand, TLS included.
    pub connect_timeout: Duration,
    /// Time from a request to the head of its answer.
    pub answer_timeout: Duration,
    /// Time without a byte of a body, while someone waits for it, after which its connection is given up.
    pub stall_timeout: Duration,
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
            max_attempts: 5,
            initial_backoff: Duration::from_millis(250),
            max_backoff: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(10),
            idle_connections: 64,
            proxy_from_environment: true,
        }
    }
}
