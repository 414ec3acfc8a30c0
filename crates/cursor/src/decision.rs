//! How to handle a listed object.

use tollgate_base::batch::Position;

/// How to handle a listed object.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Read it from the start.
    Read,
    /// Resume where an earlier run stopped.
    Resume(Position),
    /// An earlier run stopped inside the file, but the file changed since: read it from the start, and report it.
    Changed,
    /// An earlier run stopped inside the file, but its options were different or are not in the state: read it from the
    /// start, and report it.
    OtherOptions,
    /// It was read.
    AlreadyRead,
    /// A newer version of it was read. This is unexpected, so it is counted and reported.
    OlderThanRead,
    /// It is older than everything the document still remembers, or than the bound of another connector. It is counted
    /// and reported.
    BeyondHistory,
    /// Too much changed to know whether it was read, and it is inside the late window, or some of these files are
    /// certainly new. It is read, counted and reported.
    ReadAgain,
    /// Too many files vanished to know whether it was read. It counts as read, and is counted and reported.
    InDoubt,
}

impl Decision {
    /// Whether the object will be read.
    #[must_use]
    pub fn reads(&self) -> bool {
        matches!(self, Self::Read | Self::Resume(_) | Self::Changed | Self::OtherOptions | Self::ReadAgain)
    }
}
