//! Where messages go: the only place that writes to stdout.

use std::io::{self, Write};

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

/// Memory, for tests.
impl Sink for Vec<u8> {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.extend_from_slice(lines);
        Ok(())
    }
}
