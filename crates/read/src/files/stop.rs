//! How a run is asked to end early.

use tokio::sync::watch;

/// Why a run ends before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A signal of this number.
    Signal(i32),
    /// Nobody reads what is written.
    OutputClosed,
}

/// A request to stop that every task can see. Clones share it; the first reason stays.
#[derive(Debug, Clone)]
pub struct Stop {
    reason: watch::Sender<Option<StopReason>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { reason: watch::Sender::new(None) }
    }
}

impl Stop {
    /// Asks to stop.
    pub fn request(&self, reason: StopReason) {
        self.reason.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(reason);
            first
        });
    }

    /// The reason, if somebody asked.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        *self.reason.borrow()
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn requested(&self) -> bool {
        self.reason.borrow().is_some()
    }

    /// Waits until somebody asks.
    pub async fn wait(&self) -> StopReason {
        let mut receiver = self.reason.subscribe();
        let reason = receiver.wait_for(Option::is_some).await.expect("the sender lives in self");
        reason.expect("waited for a reason")
    }

    /// The future's value, or `None` when somebody asks to stop first.
    pub async fn unless<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        if self.requested() {
            return None;
        }
        tokio::select! {
            value = future => Some(value),
            _ = self.wait() => None,
        }
    }
}
