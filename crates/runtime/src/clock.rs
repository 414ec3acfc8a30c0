//! The only source of time. Tests use a fixed clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_base::object::Timestamp;

/// The time of day and elapsed time.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The system's clock.
    System,
    /// A clock that always shows this time.
    Fixed(Timestamp),
}

impl Clock {
    /// The time of day.
    #[must_use]
    pub fn now(self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
                Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
            Self::Fixed(at) => at,
        }
    }

    /// A stopwatch for intervals and reports. It also runs in tests.
    #[must_use]
    pub fn stopwatch(self) -> Stopwatch {
        Stopwatch(Instant::now())
    }
}

/// The time since its creation, unaffected by changes of the system clock.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// The time since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
