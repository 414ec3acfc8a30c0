//! The request for a page of a listing, and the page.

use tollgate_base::object::ObjectFacts;

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListRequest {
    /// Only keys that start with this text. Empty for all keys.
    pub prefix: String,
    /// Keys that contain this text after the prefix are rolled up into [`ListPage::common_prefixes`].
    pub delimiter: Option<String>,
    /// Only keys after this one in byte order. It has no effect on the following pages.
    pub start_after: Option<String>,
    /// The [`ListPage::next`] of the previous page.
    pub continuation: Option<String>,
    /// The maximum number of keys and common prefixes on a page. If absent or larger, S3 returns 1,000.
    pub max_keys: Option<u32>,
}

/// Whether a bucket's listings are in byte order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    /// AWS guarantees it.
    Promised,
    /// Another server: most list in order, but do not guarantee it.
    Unknown,
    /// Directory buckets list in any order. They support only prefixes that are whole folders.
    None,
}

/// A page of a listing, in the server's order: for AWS the order of the keys' UTF-8 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<ObjectFacts>,
    /// Prefixes up to and including the delimiter.
    pub common_prefixes: Vec<String>,
    /// The continuation token of the next page. `None` on the last page.
    pub next: Option<String>,
}
