//! Parameters that are at the root for all streams, and in a stream, which takes precedence.

use crate::provenance::{ProvenanceLog, join};

/// The parameters `T` of one stream: its own, or else those of the root.
pub(crate) struct Levels<'a, T> {
    /// What the root says.
    pub(crate) root: &'a T,
    /// What the stream says, and the stream's path.
    pub(crate) own: Option<(&'a T, &'a str)>,
    /// Whether there is no other stream.
    pub(crate) only: bool,
}

/// One parameter's value and where it is written.
pub(crate) struct Found<T> {
    /// The value, if one is written.
    pub(crate) value: Option<T>,
    /// Where it is written, or would be at the root.
    pub(crate) path: String,
    /// Whether it is for this stream alone, so that it has no effect at all if it has none here.
    pub(crate) own: bool,
}

impl<'a, T> Levels<'a, T> {
    /// The same for one topic of the parameters.
    pub(crate) fn of<U>(&self, topic: impl Fn(&'a T) -> &'a U) -> Levels<'a, U> {
        Levels { root: topic(self.root), own: self.own.map(|(own, path)| (topic(own), path)), only: self.only }
    }

    /// The value of a parameter that this stream has.
    pub(crate) fn find<V>(&self, name: &str, field: impl Fn(&T) -> Option<V>) -> Found<V> {
        let own = self.own.and_then(|(own, path)| Some((field(own)?, path)));
        match own {
            Some((value, path)) => Found { value: Some(value), path: join(path, name), own: true },
            None => Found { value: field(self.root), path: name.to_owned(), own: self.only },
        }
    }
}

impl<T> Found<T> {
    /// Records that the parameter has no effect, where it is written.
    pub(crate) fn unused(&self, note: &str, log: &mut ProvenanceLog) {
        if self.value.is_some() && self.own {
            log.unused(self.path.clone(), note);
        }
    }
}
