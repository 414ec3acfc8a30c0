//! Where messages go: the only place that writes to stdout, and, for a person at a terminal, to stderr.

use std::io::{self, IsTerminal, Write};

/// Takes whole lines, in the order in which they must appear.
pub trait Sink: Send {
    /// Writes lines, each with its line break. When it returns, they are with the reader, as far as this process can
    /// bring them.
    ///
    /// # Errors
    /// When nobody reads any more.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;
}

/// Standard output. Blocks of lines go out in one system call each; there is no buffer that a crash could lose.
#[derive(Debug, Default)]
pub struct Stdout;

impl Sink for Stdout {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(lines)?;
        stdout.flush()
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
        let columns = rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
        _ = write!(io::stderr().lock(), "\r\x1b[K{}", fitted(text, columns));
    }
}

/// A text that does not wrap in so many columns, where 0 means that nobody knows: a line that wraps cannot be written over.
/// The last column stays free, since terminals wrap when it is filled.
fn fitted(text: &str, columns: usize) -> String {
    let columns = if columns == 0 { USUAL_COLUMNS } else { columns };
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
        assert_eq!(fitted("[##..] s: 3 of 4 files", 80), "[##..] s: 3 of 4 files");
        assert_eq!(fitted("abcdef", 6), "abcd…");
        assert_eq!(fitted("äöüß", 4), "äö…");
        assert_eq!(fitted("abc", 1), "");
        assert_eq!(fitted(&"x".repeat(200), 0).chars().count(), 79);
        for columns in 1..10 {
            assert!(fitted("0123456789", columns).chars().count() < columns.max(1) + usize::from(columns == 0));
        }
    }
}
