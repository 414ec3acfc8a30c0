//! When and for how long a request is retried.
//!
//! Retries are limited by time, as in the object_store crate: a server that is down for a minute must not end a sync of
//! hours, and one that stays down must not block it forever. The number of attempts is a second limit, for requests
//! that are billed.

use std::time::Duration;

use tokio::time::Instant;

use super::error::{Failure, Retryability};
use super::options::StoreOptions;

/// The attempts of one request.
#[derive(Debug)]
pub(super) struct Attempts<'o> {
    options: &'o StoreOptions,
    begun: Instant,
}

impl<'o> Attempts<'o> {
    pub(super) fn begin(options: &'o StoreOptions) -> Self {
        Self { options, begun: Instant::now() }
    }

    /// When the request ends whatever it is doing.
    pub(super) fn deadline(&self) -> Instant {
        self.begun + self.options.retry_timeout
    }

    /// The pause before the next attempt, after so many; `None` if there is none. `answered`: whether the server ever
    /// was there. An address that never worked is most likely wrong, and its user waits for the error.
    pub(super) fn pause(&self, failure: &Failure, attempts: u32, answered: bool) -> Option<Duration> {
        let options = self.options;
        let (attempts_at_most, timeout) = match failure.retryability() {
            Retryability::Never => return None,
            Retryability::Unlikely => (UNLIKELY_ATTEMPTS, options.first_answer_timeout),
            Retryability::Likely if answered => (u32::MAX, options.retry_timeout),
            Retryability::Likely => (u32::MAX, options.retry_timeout.min(options.first_answer_timeout)),
        };
        if attempts >= options.max_attempts.min(attempts_at_most) {
            return None;
        }
        let wished = failure.retry_after().unwrap_or_default().min(RETRY_AFTER_AT_MOST);
        let pause = backoff(options, attempts).max(wished);
        (self.begun.elapsed() + pause < timeout).then_some(pause)
    }
}

/// Attempts in all where another one is not likely to help.
const UNLIKELY_ATTEMPTS: u32 = 3;

/// A server cannot ask for a longer pause.
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(60);

/// The pause after so many failed attempts: it doubles up to the longest one, and a half of it is left to chance, so that
/// clients which failed together do not come back together.
pub(super) fn backoff(options: &StoreOptions, failed: u32) -> Duration {
    let doubled = options.initial_backoff.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
    let longest = doubled.min(options.max_backoff);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let options = StoreOptions::default();
        for (failed, longest) in [(1, 250), (2, 500), (3, 1000), (7, 15_000), (100, 15_000), (u32::MAX, 15_000)] {
            let longest = Duration::from_millis(longest);
            let pauses: Vec<_> = (0..50).map(|_| backoff(&options, failed)).collect();
            assert!(pauses.iter().all(|pause| (longest / 2..=longest).contains(pause)), "{failed}: {pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]), "left to chance");
        }
    }
}
