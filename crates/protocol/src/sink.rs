//! Where messages go: the only place that writes to stdout, and, for a person at a terminal, to stderr.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Takes whole lines, in the order in which they must appear.
pub trait Sink: Send {
    /// Writes lines, each with its line break. When it returns, they are with the reader, as far as this process can
    /// bring them.
    ///
    /// # Errors
    /// When nobody reads any more.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Writes lines up to an index that `end` gives, and asks it again, with the number of bytes written, as often as
    /// it can: it may have changed its mind. Returns the bytes that were written.
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

/// Takes note of whether there is a standard output. Rust opens `/dev/null` in the place of one that is closed before `main`
/// begins, so this must be called earlier.
pub fn note_closed_stdout() {
    let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
    CLOSED_AT_START.store(flags == Err(Errno::BADF), Ordering::Relaxed);
}

/// Whether standard output was closed when the process began: then nobody will see a message. Says so on stderr.
#[must_use]
pub fn closed_at_start() -> bool {
    let closed = CLOSED_AT_START.load(Ordering::Relaxed);
    if closed {
        _ = writeln!(io::stderr().lock(), "standard output is closed: there is nobody to write messages to");
    }
    closed
}

/// Standard output. There is no buffer that a crash could lose. Where it does not block and is full, it is waited for.
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

/// Standard error, for people: verbs whose answer is no message tell warnings and errors there.
#[derive(Debug, Default)]
pub struct Stderr;

impl Sink for Stderr {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(lines)
    }
}

/// A line on a terminal that is written over again and again. What is shown is gone when it is dropped.
#[derive(Debug)]
pub struct StatusLine(());

/// The width of a terminal that does not say how wide it is.
const USUAL_COLUMNS: usize = 80;

impl StatusLine {
    /// The line, if a person looks at stderr and messages go elsewhere.
    #[must_use]
    pub fn on_terminal() -> Option<Self> {
        (io::stderr().is_terminal() && !io::stdout().is_terminal()).then(|| Self(()))
    }

    /// Shows a text in place of the last one. A terminal that went away is no fault of the run.
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
