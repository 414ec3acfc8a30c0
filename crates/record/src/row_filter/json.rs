//! Rows that were JSON objects.

use std::borrow::Cow;

use super::rows::{FileRowFilter, kind_of};
use tollgate_base::batch::{JsonField, JsonKind, JsonRows};
use tollgate_base::predicate::{Kind, Value, instant, time_of_day};

pub(super) fn apply(row_filter: &mut FileRowFilter, mut rows: JsonRows) -> JsonRows {
    let shared = std::sync::Arc::clone(&row_filter.shared);
    let kinds: Vec<Kind> = shared.kinds.iter().map(|kind| kind_of(*kind)).collect();
    let mut members: Vec<Option<Member<'_>>> = Vec::with_capacity(kinds.len());
    let (mut kept_fields, mut kept_rows, mut start) = (0, 0, 0);
    let JsonRows { data, fields, row_ends, starts, .. } = &mut rows;
    for row in 0..row_ends.len() {
        let end = row_ends[row] as usize;
        members.clear();
        members.resize_with(kinds.len(), || None);
        // Of members of one name the last one counts.
        for field in &fields[start..end] {
            if let Some(index) = index_of(field, data, &shared.names) {
                members[index] = Some(Member::of(field, data));
                row_filter.meet(index);
            }
        }
        if row_filter
            .keeps(&shared, |index| members[index].as_ref().map_or(Value::Null, |member| member.value(kinds[index])))
        {
            fields.copy_within(start..end, kept_fields);
            kept_fields += end - start;
            row_ends[kept_rows] = kept_fields as u32;
            if let Some(start) = starts.get(row).copied() {
                starts[kept_rows] = start;
            }
            kept_rows += 1;
        }
        start = end;
    }
    drop(members);
    fields.truncate(kept_fields);
    row_ends.truncate(kept_rows);
    starts.truncate(kept_rows);
    rows
}

fn index_of(field: &JsonField, data: &[u8], names: &[Box<str>]) -> Option<usize> {
    let key = field.key.of(data);
    if !key.contains(&b'\\') {
        return names.iter().position(|name| name.as_bytes() == key);
    }
    let quoted = [b"\"", key, b"\""].concat();
    let key: String = serde_json::from_slice(&quoted).ok()?;
    names.iter().position(|name| **name == *key)
}

/// A member's value, its escapes undone.
struct Member<'a> {
    kind: JsonKind,
    text: Cow<'a, [u8]>,
}

impl<'a> Member<'a> {
    fn of(field: &JsonField, data: &'a [u8]) -> Self {
        let text = field.value.of(data);
        let text = match field.kind {
            JsonKind::String if text.contains(&b'\\') => {
                Cow::Owned(serde_json::from_slice::<String>(text).unwrap_or_default().into_bytes())
            }
            JsonKind::String => Cow::Borrowed(&text[1..text.len() - 1]),
            _ => Cow::Borrowed(text),
        };
        Self { kind: field.kind, text }
    }

    fn value(&self, kind: Kind) -> Value<'_> {
        let text = || std::str::from_utf8(&self.text).unwrap_or_default();
        match (self.kind, kind) {
            (JsonKind::Null, _) => Value::Null,
            (JsonKind::Boolean, _) => Value::Boolean(*self.text == *b"true"),
            (JsonKind::Integer | JsonKind::Number, _) => Value::Digits(&self.text),
            (JsonKind::String, Kind::Instant) => instant(text()).map_or(Value::Other, Value::Instant),
            (JsonKind::String, Kind::Time) => time_of_day(text()).map_or(Value::Other, Value::Time),
            (JsonKind::String, _) => Value::Text(&self.text),
            (JsonKind::Array | JsonKind::Object, _) => Value::Other,
        }
    }
}
