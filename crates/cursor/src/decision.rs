//! What is to be done with a listed object.

use tollgate_base::batch::Position;

/// What is to be done with a listed object.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Read it from the start.
    Read,
    /// Go on where an earlier run stood.
    Resume(Position),
    /// An earlier run stood inside the file, but it is another one now: start over, and say so.
    Changed,
    /// An earlier run stood inside the file, but with other options, or with options that the state does not name: start
    /// over, and say so.
    OtherOptions,
    /// It was read.
    AlreadyRead,
    /// It was read in a newer version. Unexpected; counted and reported.
    OlderThanRead,
    /// It is older than everything the document still remembers, or than the bound that another connector left; counted
    /// and reported.
    BeyondHistory,
    /// Too much changed to tell whether it was read; it is inside the late window, or new files are among these for
    /// certain. Counted and reported.
    ReadAgain,
    /// Too much vanished to tell whether it was read; it counts as read. Counted and reported.
    InDoubt,
}

impl Decision {
    /// Whether the object will be read.
    #[must_use]
    pub fn reads(&self) -> bool {
        matches!(self, Self::Read | Self::Resume(_) | Self::Changed | Self::OtherOptions | Self::ReadAgain)
    }
}
