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

/// A line on a terminal that is written over again and again. What is shown is gone when it is dropped.
#[derive(Debug)]
pub struct StatusLine(());

/// Longer lines would wrap, and could not be written over.
const STATUS_CHARACTERS: usize = 118;

impl StatusLine {
    /// The line, if a person looks at stderr and messages go elsewhere.
    #[must_use]
    pub fn on_terminal() -> Option<Self> {
        (io::stderr().is_terminal() && !io::stdout().is_terminal()).then(|| Self(()))
    }

    /// Shows a text in place of the last one. A terminal that went away is no fault of the run.
    pub fn show(&mut self, text: &str) {
        let text: String = text.chars().take(STATUS_CHARACTERS).collect();
        _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
    }
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
