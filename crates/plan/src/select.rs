//! Which of the listed objects belong to a stream.

use super::pattern::Pattern;
use tollgate_base::object::{ObjectFacts, Timestamp};
use tollgate_base::options::key_pattern::KeyPattern;

/// The rules by which a stream chooses objects from a listing.
#[derive(Debug, Clone)]
pub struct Selection {
    patterns: Vec<Pattern>,
    start_at: Option<Timestamp>,
    skip_markers: bool,
    archives: bool,
}

/// Why an object is read, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectVerdict {
    /// It belongs to the stream.
    Selected,
    /// No pattern matches, or it is a folder (`/` at the end).
    OtherKey,
    /// No pattern matches, but only because its name or one of its folders starts with a dot.
    Hidden,
    /// It is older than the stream's start date.
    TooOld,
    /// A marker file of another tool.
    Marker,
}

impl Selection {
    /// The rules of a stream.
    #[must_use]
    pub fn new(globs: &[String], start_at: Option<Timestamp>, skip_markers: bool) -> Self {
        Self {
            patterns: globs.iter().map(|glob| Pattern::new(glob)).collect(),
            start_at,
            skip_markers,
            archives: false,
        }
    }

    /// Selects by a regular expression instead of the globs, if there is one.
    #[must_use]
    pub fn by_expression(self, expression: Option<&KeyPattern>) -> Self {
        match expression {
            Some(expression) => Self { patterns: vec![Pattern::of_expression(expression)], ..self },
            None => self,
        }
    }

    /// Selects zip archives regardless of the patterns, which apply to `archive.zip#member`. The key of an archive does
    /// not show its members.
    #[must_use]
    pub fn with_archives(self, archives: bool) -> Self {
        Self { archives, ..self }
    }

    /// The compiled patterns.
    #[must_use]
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// Whether an object with this key can belong to the stream.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let archive = self.archives && key.ends_with(".zip");
        !key.ends_with('/') && (archive || self.patterns.iter().any(|pattern| pattern.matches(key)))
    }

    /// Whether the object belongs to the stream.
    #[must_use]
    pub fn verdict(&self, object: &ObjectFacts) -> ObjectVerdict {
        let key = &*object.key;
        if !self.matches(key) {
            let hidden = !key.ends_with('/') && self.patterns.iter().any(|pattern| pattern.matches_hidden(key));
            return if hidden { ObjectVerdict::Hidden } else { ObjectVerdict::OtherKey };
        }
        if self.skip_markers && marker(object) {
            ObjectVerdict::Marker
        } else if self.start_at.is_some_and(|start_at| object.modified_at < start_at) {
            ObjectVerdict::TooOld
        } else {
            ObjectVerdict::Selected
        }
    }
}

/// Whether other tools left this object as a mark: Hadoop's `_SUCCESS` and `_temporary/`, checksum files,
/// `_$folder$`, and objects without a byte.
fn marker(object: &ObjectFacts) -> bool {
    let key = &*object.key;
    let name = key.rsplit('/').next().unwrap_or(key);
    object.size == 0
        || name == "_SUCCESS"
        || name.ends_with("_$folder$")
        || name.ends_with(".crc")
        || key.split('/').rev().skip(1).any(|folder| folder == "_temporary")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, size: u64) -> ObjectFacts {
        ObjectFacts {
            key: key.into(),
            size,
            modified_at: Timestamp::from_seconds(1000, 0),
            etag: "".into(),
            storage_class: tollgate_base::object::StorageClass::Standard,
        }
    }

    #[test]
    fn marks_of_other_tools_are_left_out_by_name() {
        let selection = Selection::new(&["**".to_owned()], None, true);
        for key in ["a/_SUCCESS", "a/_temporary/0/x.csv", "a/x.csv.crc", "a_$folder$"] {
            assert_eq!(selection.verdict(&object(key, 5)), ObjectVerdict::Marker, "{key}");
        }
        assert_eq!(selection.verdict(&object("a/x.csv", 0)), ObjectVerdict::Marker);
        assert_eq!(selection.verdict(&object("a/x.csv", 1)), ObjectVerdict::Selected);
        assert_eq!(selection.verdict(&object("a/my_SUCCESS", 1)), ObjectVerdict::Selected);
        let keeps = Selection::new(&["**".to_owned()], None, false);
        assert_eq!(keeps.verdict(&object("a/_SUCCESS", 0)), ObjectVerdict::Selected);
    }

    #[test]
    fn folders_and_old_objects_are_not_selected() {
        let selection = Selection::new(&["a/*".to_owned()], Some(Timestamp::from_seconds(1000, 0)), false);
        assert_eq!(selection.verdict(&object("a/b/", 0)), ObjectVerdict::OtherKey);
        assert_eq!(selection.verdict(&object("b/b", 1)), ObjectVerdict::OtherKey);
        assert_eq!(selection.verdict(&object("a/b", 1)), ObjectVerdict::Selected, "the start date itself is included");
        let mut old = object("a/b", 1);
        old.modified_at = Timestamp::from_seconds(999, 0);
        assert_eq!(selection.verdict(&old), ObjectVerdict::TooOld);
    }
}
