//! What is asked of a listing, and what it answers.

use tollgate_base::object::ObjectFacts;

/// What to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListRequest {
    /// Only keys that begin with this; empty for all.
    pub prefix: String,
    /// Keys that hold this behind the prefix are rolled up into [`ListPage::common_prefixes`].
    pub delimiter: Option<String>,
    /// Only keys behind this one in byte order. Without meaning on a following page.
    pub start_after: Option<String>,
    /// The [`ListPage::next`] of the page before.
    pub continuation: Option<String>,
    /// Keys and common prefixes per page at most; S3 gives 1,000 where it is absent or larger.
    pub max_keys: Option<u32>,
}

/// Whether a bucket's listings come in the byte order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    /// AWS says so.
    Promised,
    /// Another server: most do, and nobody promises it.
    Unknown,
    /// Directory buckets list in any order. They only know prefixes that are whole folders.
    None,
}

/// A page of a listing, in the server's order: for AWS the order of the keys' UTF-8 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<ObjectFacts>,
    /// Prefixes up to and including the delimiter.
    pub common_prefixes: Vec<String>,
    /// What the next page is asked with; `None` on the last page.
    pub next: Option<String>,
}
