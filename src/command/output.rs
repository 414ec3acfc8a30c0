//! What commands write besides the messages of a run.

use tollgate_protocol::sink::{Sink, Stderr, Stdout};

/// Prints lines. A closed stdout is nobody's news: the exit code says it.
pub(super) fn print(lines: &str) {
    if Stdout.write(lines.as_bytes()).is_err() {
        std::process::exit(1);
    }
}

/// Tells a person a line. A closed stderr is no reason to stop.
pub(super) fn tell(line: &str) {
    _ = Stderr.write(format!("{line}\n").as_bytes());
}
