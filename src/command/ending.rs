//! How the process ends: exit codes and signals.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::output::{print, tell};
use crate::cli::OutputFormat;
use tollgate_base::error::Error;
use tollgate_protocol::message;
use tollgate_runtime::clock::Clock;

/// The end of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was done.
    Success,
    /// Something was not, and said so; or nobody reads what is written.
    Failure,
    /// The command did its work and says that a run would be refused.
    Refused,
    /// Ended by a signal of this number.
    Signal(i32),
}

/// The exit code of an estimate of a run that its limits do not allow: neither a failure nor a wrong argument.
const REFUSED: u8 = 3;

/// The signals that end a run in an orderly way.
const SIGNALS: [SignalKind; 2] = [SignalKind::terminate(), SignalKind::interrupt()];

impl Ending {
    /// Ends the process. A signal is raised again with its default handling, so that the parent sees it; the first
    /// process of a container cannot die of one and exits with its number plus 128.
    #[must_use]
    pub fn finish(self) -> ExitCode {
        match self {
            Self::Success => ExitCode::SUCCESS,
            Self::Failure => ExitCode::FAILURE,
            Self::Refused => ExitCode::from(REFUSED),
            Self::Signal(number) => raise(number),
        }
    }
}

fn raise(number: i32) -> ExitCode {
    if std::process::id() != 1 {
        _ = signal_hook::low_level::emulate_default_handler(number);
    }
    ExitCode::from(u8::try_from(128 + number).unwrap_or(1))
}

/// Prints the one TRACE ERROR of a failed command.
pub(super) fn failed(error: &Error) -> Ending {
    print(&message::error(error, Clock::System.now()));
    Ending::Failure
}

/// The failure of a verb for people: in plain words on stderr, and for a program, which reads stdout alone, as the TRACE ERROR
/// that all verbs print.
pub(super) fn told(error: &Error, format: OutputFormat) -> Ending {
    tell(&format!("error: {}", message::chain(error)));
    match format {
        OutputFormat::Table => Ending::Failure,
        OutputFormat::Json => failed(error),
    }
}

/// Listens for SIGTERM and SIGINT from now on, and gives the number of the first that comes. A future that listens only when
/// it is first polled would leave a gap in which a signal ends the process at once.
pub(super) fn wait_for_signal() -> impl Future<Output = i32> + Send {
    let [terminate, interrupt] = SIGNALS;
    let listening = (signal(terminate), signal(interrupt));
    async move {
        match listening {
            (Ok(mut terminated), Ok(mut interrupted)) => tokio::select! {
                _ = terminated.recv() => terminate.as_raw_value(),
                _ = interrupted.recv() => interrupt.as_raw_value(),
            },
            // Without handlers the signals keep their default: they end the process.
            _ => std::future::pending().await,
        }
    }
}

/// The end of a command that panicked.
#[must_use]
pub fn defect(panic: &(dyn std::any::Any + Send)) -> Ending {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    failed(
        &Error::internal("the connector ended because of a bug")
            .with("panic", text.unwrap_or("without a text"))
            .hint("report the bug with the log and, if possible, the configuration"),
    )
}
