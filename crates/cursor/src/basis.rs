//! What positions, and the progress of a full refresh, depend on.

use tollgate_base::options::Compression;
use tollgate_base::options::fingerprint::{Canonical, Fingerprint};

/// The options of a run, as far as the state depends on them.
///
/// A position counts bytes of decoded text, or rows, and holds what a reader that starts there does not see. It means
/// something only under the options that it was made with: under others it could lie inside a row, or leave out rows that
/// were never emitted. So each pending file names them, and a file whose options differ, or are not named, is read from
/// its start. The same holds for a full refresh as a whole: what it has read says nothing about another selection.
#[derive(Debug, Clone, Default)]
pub struct Basis {
    positions: Option<Canonical>,
    /// What chooses members: the position of an archive is a number of them.
    members: Canonical,
    compression: Compression,
    pub(super) selection: Option<Fingerprint>,
}

impl Basis {
    /// `positions` is what positions depend on besides `compression`, `members` what chooses members of archives, and
    /// `selection` everything that decides which rows a full refresh emits.
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
