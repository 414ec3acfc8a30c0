//! The options that positions and the progress of a full refresh depend on.

use tollgate_base::options::Compression;
use tollgate_base::options::fingerprint::{Canonical, Fingerprint};

/// The options of a run that the state depends on.
///
/// A position counts bytes of decoded text, or rows, and contains what a reader that starts there does not see. It is
/// valid only with the options that it was made with: with other options, it could be inside a row, or skip rows that
/// were never emitted. So the options are stored with each pending file. A file whose options differ or are missing is
/// read from its start. The same applies to a full refresh as a whole: its progress is valid only for the same
/// selection.
#[derive(Debug, Clone, Default)]
pub struct Basis {
    positions: Option<Canonical>,
    /// What chooses members: the position of an archive is a number of them.
    members: Canonical,
    compression: Compression,
    pub(super) selection: Option<Fingerprint>,
}

impl Basis {
    /// `positions` are the options that positions depend on, besides `compression`. `members` are the options that
    /// select members of archives. `selection` are all options that determine the rows of a full refresh.
    #[must_use]
    pub fn new(positions: Canonical, members: Canonical, compression: Compression, selection: &Canonical) -> Self {
        Self { positions: Some(positions), members, compression, selection: Some(selection.fingerprint()) }
    }

    /// What a position in a file with this key depends on.
    pub(super) fn of_file(&self, key: &str) -> Option<Fingerprint> {
        let compression = self.compression.resolve(key);
        let options = self.positions.clone()?.with("compression", compression.name());
        let options = if compression == Compression::Zip { options.and(&self.members) } else { options };
        Some(options.fingerprint())
    }
}
