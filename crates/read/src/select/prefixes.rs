//! The prefixes that are listed.

use tollgate_config::job::Stream;
use tollgate_plan::listing::{prefixes, whole_folders};
use tollgate_plan::select::Selection;
use tollgate_s3::{KeyOrder, Store};

/// The prefixes that a stream is listed by.
pub(crate) fn prefixes_of(store: &Store, selection: &Selection, stream: &Stream) -> Vec<String> {
    let prefixes = prefixes(selection.patterns(), stream.list_prefix.as_deref());
    if store.key_order() == KeyOrder::None { whole_folders(prefixes) } else { prefixes }
}
