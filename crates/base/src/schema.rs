//! Column types of the protocol's JSON schemas.

use serde_json::{Map, Value, json};

/// The type of a column in a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// Only nulls.
    Null,
    /// `boolean`
    Boolean,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `string` without format.
    String,
    /// `string`, format `date`.
    Date,
    /// `string`, format `date-time`.
    Timestamp,
    /// `string`, format `time`.
    Time,
    /// `array`
    Array,
    /// `object`
    Object,
    /// Several types without `array` and `object`: a value of any of them is emitted unchanged.
    AnyScalar,
    /// No type, or several types including `array` or `object`: values are emitted unchanged.
    Any,
}

/// A column of a catalog stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The name.
    pub name: String,
    /// The type.
    pub kind: ColumnType,
}

/// The columns that a catalog selects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Columns {
    /// All columns, unchanged (the catalog's `properties` are empty).
    #[default]
    All,
    /// These columns and no others, in this order.
    Listed(Vec<Column>),
}

/// Added to each record: the file's modification time.
pub const MODIFIED_COLUMN: &str = "_ab_source_file_last_modified";
/// The column with rescued fields: an object with the fields that are not in the catalog, or have another type there.
pub const RESCUED_COLUMN: &str = "_rescued";
/// Added to each record: the file's key.
pub const URL_COLUMN: &str = "_ab_source_file_url";

impl ColumnType {
    /// The type of a property's schema: `{"type": ["null", "integer"]}`.
    #[must_use]
    pub fn of_property(property: &Value) -> Self {
        let names: Vec<&str> = match property.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return Self::Any,
        };
        let mut others = names.iter().copied().filter(|name| *name != "null");
        let (first, second) = (others.next(), others.next());
        let format = property.get("format").and_then(Value::as_str);
        match (first, second) {
            (None, _) if names.is_empty() => Self::Any,
            (None, _) => Self::Null,
            (Some(_), Some(_)) if names.iter().any(|name| matches!(*name, "array" | "object")) => Self::Any,
            (Some(_), Some(_)) => Self::AnyScalar,
            (Some("boolean"), None) => Self::Boolean,
            (Some("integer"), None) => Self::Integer,
            (Some("number"), None) => Self::Number,
            (Some("array"), None) => Self::Array,
            (Some("object"), None) => Self::Object,
            (Some("string"), None) => match format {
                Some("date") => Self::Date,
                Some("date-time") => Self::Timestamp,
                Some("time") => Self::Time,
                _ => Self::String,
            },
            (Some(_), None) => Self::Any,
        }
    }

    /// The property's schema in the discovered catalog: nullable, and with a format if there is one.
    #[must_use]
    pub fn to_property(self) -> Value {
        match self {
            Self::Null => json!({"type": "null"}),
            Self::Boolean => json!({"type": ["null", "boolean"]}),
            Self::Integer => json!({"type": ["null", "integer"]}),
            Self::Number => json!({"type": ["null", "number"]}),
            Self::String => json!({"type": ["null", "string"]}),
            Self::Date => json!({"type": ["null", "string"], "format": "date"}),
            Self::Timestamp => json!({"type": ["null", "string"], "format": "date-time"}),
            Self::Time => json!({"type": ["null", "string"], "format": "time"}),
            Self::Array => json!({"type": ["null", "array"]}),
            Self::Object => json!({"type": ["null", "object"]}),
            Self::AnyScalar => json!({"type": ["null", "boolean", "integer", "number", "string"]}),
            Self::Any => json!({}),
        }
    }
}

impl Columns {
    /// The columns of a stream's `json_schema`. The two added columns are not among them: they are written anyway.
    #[must_use]
    pub fn of_json_schema(json_schema: &Value) -> Self {
        let Some(properties) = json_schema.get("properties").and_then(Value::as_object) else {
            return Self::All;
        };
        if properties.is_empty() {
            return Self::All;
        }
        let added = |name: &str| name == MODIFIED_COLUMN || name == URL_COLUMN;
        Self::Listed(
            properties
                .iter()
                .filter(|(name, _)| !added(name))
                .map(|(name, property)| Column { name: name.clone(), kind: ColumnType::of_property(property) })
                .collect(),
        )
    }
}

/// The `json_schema` of a stream: the two added columns first, then these.
#[must_use]
pub fn json_schema(columns: Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for name in [MODIFIED_COLUMN, URL_COLUMN] {
        properties.insert(name.to_owned(), json!({"type": "string"}));
    }
    properties.extend(columns);
    json!({"type": "object", "properties": properties})
}
