//! The sink for messages: the only code that writes to stdout and, for people at a terminal, to stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// A sink for complete lines, in the order in which they are written.
pub trait Sink: Send {
    /// Writes lines, each with its line break. When it returns, the lines have left this process.
    ///
    /// # Errors
    /// If the reader has closed its end.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Writes lines up to the index that `end` returns. It calls `end` again as often as possible with the number of
    /// bytes written, because the index may change. Returns the number of bytes written.
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn write_up_to(&mut self, lines: &[u8], end: &mut dyn FnMut(usize) -> usize) -> io::Result<usize> {
        let end = end(0).min(lines.len());
        self.write(&lines[..end])?;
        Ok(end)
    }
}

/// Bytes of one system call, which takes as long as its reader takes to make room for them.
const CALL_BYTES: usize = 64 << 10;

/// Keeps lines of several threads apart.
static WRITING: Mutex<()> = Mutex::new(());

static CLOSED_AT_START: AtomicBool = AtomicBool::new(false);

/// Records whether standard output is open. Before `main` starts, Rust replaces a closed standard output with
/// `/dev/null`, so this must be called earlier.
pub fn note_closed_stdout() {
    let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
    CLOSED_AT_START.store(flags == Err(Errno::BADF), Ordering::Relaxed);
}

/// Whether standard output was closed when the process started, so that nobody will see messages. Reports it on stderr.
#[must_use]
pub fn closed_at_start() -> bool {
    let closed = CLOSED_AT_START.load(Ordering::Relaxed);
    if closed {
        _ = writeln!(io::stderr().lock(), "standard output is closed, so no messages can be written");
    }
    closed
}

/// Standard output, without a buffer that a crash could lose. If it is non-blocking and full, writes wait.
#[derive(Debug, Default)]
pub struct Stdout;

impl Sink for Stdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write_up_to(lines, &mut |_| lines.len()).map(drop)
    }

    fn write_up_to(&mut self, lines: &[u8], end: &mut dyn FnMut(usize) -> usize) -> io::Result<usize> {
        let _apart = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let stdout = rustix::stdio::stdout();
        let mut written = 0;
        loop {
            let end = end(written).min(lines.len());
            if written >= end {
                return Ok(written);
            }
            match rustix::io::write(stdout, &lines[written..end.min(written + CALL_BYTES)]) {
                Ok(bytes) => written += bytes,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wait_for_room(stdout)?,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn wait_for_room(stdout: rustix::fd::BorrowedFd<'_>) -> io::Result<()> {
    match poll(&mut [PollFd::new(&stdout, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Standard error, for people: verbs that do not print messages write warnings and errors there.
#[derive(Debug, Default)]
pub struct Stderr;

impl Sink for Stderr {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(lines)
    }
}

/// A line on a terminal that is overwritten repeatedly. Dropping it clears the line.
#[derive(Debug)]
pub struct StatusLine(());

/// The width of a terminal with an unknown width.
const USUAL_COLUMNS: usize = 80;

impl StatusLine {
    /// The line, if stderr is a terminal and messages go elsewhere.
    #[must_use]
    pub fn on_terminal() -> Option<Self> {
        (io::stderr().is_terminal() && !io::stdout().is_terminal()).then(|| Self(()))
    }

    /// Shows a text in place of the last one. Errors are ignored: the run continues if the terminal is closed.
    pub fn show(&mut self, text: &str) {
        // Asked each time, since windows change their size.
        let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
        let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        _ = write!(io::stderr().lock(), "\r\x1b[K{}", fitted(text, columns));
    }
}

/// A text that does not wrap in so many columns, as far as the terminal says how many it has: a line that wraps cannot be
/// written over. The last column stays free, since terminals wrap when it is filled.
fn fitted(text: &str, columns: Option<usize>) -> String {
    let columns = columns.unwrap_or(USUAL_COLUMNS);
    if text.chars().count() < columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(2)).chain(['…']).take(columns.saturating_sub(1)).collect()
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.show("");
    }
}

/// Memory, for tests.
impl Sink for Vec<u8> {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.extend_from_slice(lines);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::fitted;

    #[test]
    fn the_progress_line_fits_the_terminal() {
        assert_eq!(fitted("[##..] s: 3 of 4 files", Some(80)), "[##..] s: 3 of 4 files");
        assert_eq!(fitted("abcdef", Some(6)), "abcd…");
        assert_eq!(fitted("äöüß", Some(4)), "äö…");
        assert_eq!(fitted("abc", Some(1)), "");
        assert_eq!(fitted(&"x".repeat(200), None).chars().count(), 79);
        for columns in 1..10 {
            assert!(fitted("0123456789", Some(columns)).chars().count() < columns);
        }
    }
}
