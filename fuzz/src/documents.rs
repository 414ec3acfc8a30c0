//! Documents that platforms and people write: configurations, states, catalogs, patterns.

use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};
use tollgate_cursor::{Cursor, FullRefresh, Incremental, ListingReconciler, Observation, StreamState, Window};
use tollgate_plan::pattern::Pattern;
use tollgate_protocol::catalog::ConfiguredCatalog;
use tollgate_protocol::state_file::StateFile;

/// A configuration is understood or refused; what is shown of it is a configuration again.
pub(crate) fn config(input: &[u8]) {
    _ = tollgate_config::parse(input);
    if let Ok(translation) = tollgate_config::translate(input) {
        let shown = translation.config.to_string();
        assert!(tollgate_config::parse(shown.as_bytes()).is_ok(), "the translation is not understood: {shown}");
    }
}

/// A state is read or refused, in both modes; what is written after it can be read again.
pub(crate) fn state(input: &[u8]) {
    _ = StateFile::read(input);
    let Ok(value) = serde_json::from_slice(input) else { return };
    let Ok(state) = StreamState::read(&value) else { return };
    let object = ObjectFacts {
        key: "a/b.csv".into(),
        size: 7,
        modified_at: Timestamp::from_seconds(1_700_000_000, 0),
        etag: "\"e\"".into(),
        storage_class: StorageClass::Standard,
    };
    let window = Window { listed_at: object.modified_at.plus_seconds(3600), late_days: 7, full_history_days: 3 };
    let mut reconciler = ListingReconciler::new(&Incremental::new(state.clone(), None), window);
    let seen = reconciler.observe(&object, None);
    let reconciled = reconciler.settle();
    let decision = match seen {
        Observation::Decided(decision) => decision,
        Observation::Open(file) => reconciled.decide(file),
    };
    let full_refresh = FullRefresh::new(state, Some(1));
    let in_key_order = full_refresh.decide(&object);
    let incremental = Cursor::Incremental(reconciled.finish());
    for (mut cursor, decision) in [(incremental, decision), (Cursor::FullRefresh(full_refresh), in_key_order)] {
        if decision.reads() {
            cursor.begin(&object, Default::default());
            cursor.end(&object.key);
        }
        let document = cursor.complete_document();
        assert!(StreamState::read(&document).is_ok(), "our own state is not understood: {document}");
    }
}

/// A catalog is read or refused.
pub(crate) fn catalog(input: &[u8]) {
    _ = ConfiguredCatalog::read(input);
}

/// The first line is a pattern, the others are keys: a key that matches begins with the pattern's prefix. Not so a key
/// or a pattern with an empty folder name: they match keys that are listed elsewhere, as in the connector that we replace.
pub(crate) fn glob(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.lines();
    let Some(first) = lines.next().filter(|line| line.len() < 200 && !line.contains("//")) else { return };
    let pattern = Pattern::new(first);
    let prefixes = pattern.literal_prefixes();
    for key in lines.filter(|key| key.len() < 1024 && !key.contains("//")).take(100) {
        let listed = prefixes.iter().any(|prefix| key.starts_with(prefix.as_str()));
        assert!(!pattern.matches(key) || listed, "{first:?} matches {key:?} but not its prefix");
    }
}
