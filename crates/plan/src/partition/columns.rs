//! The values of partitions as columns of records, which are constant in a file.

use std::borrow::Cow;
use std::collections::HashSet;

use super::layout::{Known, Layout, PartitionValue, hive_value, hive_values};
use tollgate_base::object::Timestamp;
use tollgate_base::options::partition::{PartitionColumns, PartitionType, Partitions, Period};
use tollgate_base::predicate::{self, instant};

/// A column that has one value in all rows of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionConstant {
    /// The column's name.
    pub name: String,
    /// The type it has in the catalog.
    pub kind: PartitionType,
    /// Its value, if it has that type: text, number or boolean. `None` is null.
    pub value: Option<serde_json::Value>,
    /// Whether the value does not have the type of the partition, and is a string.
    pub misfit: bool,
}

impl PartitionConstant {
    /// The value for conditions on rows.
    #[must_use]
    pub fn operand(&self) -> predicate::Value<'_> {
        use predicate::Value as V;
        match &self.value {
            None => V::Null,
            Some(serde_json::Value::Bool(value)) => V::Boolean(*value),
            Some(serde_json::Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => V::Integer(whole.into()),
                (None, Some(double)) => V::Double(double),
                (None, None) => V::Other,
            },
            Some(serde_json::Value::String(text)) => match self.kind {
                PartitionType::Date | PartitionType::Timestamp => instant(text).map_or(V::Other, V::Instant),
                _ => V::Text(text.as_bytes()),
            },
            Some(_) => V::Other,
        }
    }
}

/// Whether a text is a value of a type.
#[must_use]
pub(super) fn fits(text: &str, kind: PartitionType) -> bool {
    typed(text, kind).is_some()
}

/// The columns that a file gets from its key. A partition that the key does not have gives none.
#[must_use]
pub fn constants(key: &str, partitions: &Partitions, layout: Option<&Layout>) -> Vec<PartitionConstant> {
    match (partitions.columns, layout) {
        (PartitionColumns::None, _) => Vec::new(),
        (PartitionColumns::HiveParts, _) => {
            // As in the connector we replace: of one name the last part counts.
            let parts: Vec<_> = key.split('/').filter_map(hive_value).collect();
            let mut seen = HashSet::new();
            let mut kept: Vec<_> = parts.into_iter().rev().filter(|(name, _)| seen.insert(name.clone())).collect();
            kept.reverse();
            kept.into_iter().map(|(name, value)| constant(&name, value, partitions)).collect()
        }
        (PartitionColumns::All, Some(layout)) => {
            let values = layout.values(key);
            let field = |name: &str| match values.get(name) {
                Known::Value(value) => Some(constant(name, value, partitions)),
                Known::Missing | Known::Open => None,
            };
            layout.fields.iter().filter_map(|partition| field(&partition.name)).collect()
        }
        (PartitionColumns::Hive | PartitionColumns::All, _) => {
            let mut seen = HashSet::new();
            let first = hive_values(key, false).filter(|(name, _)| seen.insert(name.clone()));
            first.map(|(name, value)| constant(&name, value, partitions)).collect()
        }
    }
}

fn constant(name: &str, value: PartitionValue<'_>, partitions: &Partitions) -> PartitionConstant {
    let kind = partitions.type_of(name).unwrap_or(PartitionType::String);
    let typed = value.as_ref().map(|text| typed(text, kind));
    let misfit = matches!(typed, Some(None));
    let value = value.map(|text| typed.flatten().unwrap_or_else(|| Cow::into_owned(text).into()));
    PartitionConstant { name: name.to_owned(), kind, value, misfit }
}

/// A text as a value of a type; `None` if it is none.
fn typed(text: &str, kind: PartitionType) -> Option<serde_json::Value> {
    match kind {
        PartitionType::String => Some(text.into()),
        PartitionType::Integer => text.parse::<i64>().ok().map(Into::into),
        PartitionType::Number => {
            let number = text.parse::<f64>().ok().filter(|number| number.is_finite())?;
            match text.parse::<i64>() {
                Ok(whole) => Some(whole.into()),
                Err(_) => Some(number.into()),
            }
        }
        PartitionType::Boolean => text.to_ascii_lowercase().parse::<bool>().ok().map(Into::into),
        PartitionType::Date => Some(start(text)?.to_utc()?.format("%Y-%m-%d").to_string().into()),
        PartitionType::Timestamp => Some(start(text)?.to_string().into()),
    }
}

fn start(text: &str) -> Option<Timestamp> {
    Period::parse(text).map(|period| period.start)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use tollgate_base::options::partition::Template;

    fn shown(key: &str, partitions: &Partitions, layout: Option<&Layout>) -> serde_json::Value {
        let pairs = constants(key, partitions, layout).into_iter().map(|c| (c.name, c.value.unwrap_or_default()));
        serde_json::Value::Object(pairs.collect())
    }

    #[test]
    fn hive_parts_are_strings_until_a_type_is_given() {
        let key = "t/year=2024/month=01/ok=TRUE/null=__HIVE_DEFAULT_PARTITION__/r=1.50/x=9.parquet";
        let mut partitions = Partitions { columns: PartitionColumns::HiveParts, ..Partitions::default() };
        let strings = json!({"year": "2024", "month": "01", "ok": "TRUE", "null": null, "r": "1.50", "x": "9.parquet"});
        assert_eq!(shown(key, &partitions, None), strings);
        partitions.columns = PartitionColumns::Hive;
        let types = [("month", PartitionType::Integer), ("ok", PartitionType::Boolean), ("r", PartitionType::Number)];
        partitions.types = types.map(|(name, kind)| (name.to_owned(), kind)).to_vec();
        let typed = json!({"year": "2024", "month": 1, "ok": true, "null": null, "r": 1.5});
        assert_eq!(shown(key, &partitions, None), typed);
        partitions.columns = PartitionColumns::None;
        assert_eq!(shown(key, &partitions, None), json!({}));
    }

    #[test]
    fn a_value_that_is_not_of_its_type_stays_a_text_and_is_said() {
        let types = vec![("n".to_owned(), PartitionType::Integer), ("d".to_owned(), PartitionType::Date)];
        let partitions = Partitions { columns: PartitionColumns::Hive, types, ..Partitions::default() };
        let found = constants("n=x1/d=20240131/f", &partitions, None);
        assert_eq!(found.iter().map(|c| c.misfit).collect::<Vec<_>>(), [true, false]);
        assert_eq!(shown("n=x1/d=20240131/f", &partitions, None), json!({"n": "x1", "d": "2024-01-31"}));
    }

    #[test]
    fn the_folders_of_a_layout_are_columns() {
        let partitions = Partitions { columns: PartitionColumns::All, ..Partitions::default() };
        let layout = Layout::of_template(&Template::parse("{year}/{month}/").unwrap(), "e/", &partitions);
        assert_eq!(shown("e/2024/01/x.csv", &partitions, Some(&layout)), json!({"year": "2024", "month": "01"}));
        assert_eq!(shown("e/2024/x.csv", &partitions, Some(&layout)), json!({"year": "2024"}));
    }
}
