//! JSON arrays and objects → the cells of what lies inside. Values are not read here: their texts are passed on.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::cell::Cell;

/// Hands over the items of a JSON array. `None` where the text is none; some items may have been handed over.
pub(super) fn split_array<'a>(text: &'a str, row: u32, take: impl FnMut(Cell<'a>)) -> Option<()> {
    let mut json = Deserializer::from_str(text);
    json.deserialize_seq(Items { row, take }).ok()?;
    json.end().ok()
}

/// Hands over the members of a JSON object. `None` where the text is none; some members may have been handed over.
pub(super) fn split_object<'a>(text: &'a str, row: u32, take: impl FnMut(&str, Cell<'a>)) -> Option<()> {
    let mut json = Deserializer::from_str(text);
    json.deserialize_map(Members { row, take }).ok()?;
    json.end().ok()
}

struct Items<F> {
    row: u32,
    take: F,
}

impl<'de, F: FnMut(Cell<'de>)> Visitor<'de> for Items<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            (self.take)(Cell::of_json(item.get(), self.row));
        }
        Ok(())
    }
}

struct Members<F> {
    row: u32,
    take: F,
}

impl<'de, F: FnMut(&str, Cell<'de>)> Visitor<'de> for Members<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key_seed(Key)? {
            let value = members.next_value::<&'de RawValue>()?;
            (self.take)(&key, Cell::of_json(value.get(), self.row));
        }
        Ok(())
    }
}

/// A key, which is borrowed where it has no escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<Cow<'de, str>, D::Error> {
        key.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}
