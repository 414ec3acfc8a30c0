//! The schema in a container's header: JSON → nodes that refer to one another by index, so that a type may hold itself.
//!
//! It is read as leniently as writers need: names are not checked against Avro's rules, aliases and defaults are not
//! looked at, and a logical type that does not fit its type is left out, as the specification says.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::infer;
use tollgate_base::batch::{InferredColumn, InferredType, Nested};
use tollgate_base::error::{Error, ErrorKind, Result};
use tollgate_base::json_string::{write_key, write_string};
use tollgate_base::options::InferenceDepth;

/// Types inside one another that a catalog tells.
const DEPTH: usize = 10;

/// Types inside of others that a catalog tells.
const MOST_TOLD: usize = 2_000;

/// A type. Indices are those of [`Schema`]'s nodes.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Record(Vec<Field>),
    /// The symbols as JSON strings.
    Enum(Vec<Box<[u8]>>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    /// Bytes of this number.
    Fixed(usize),
    /// Digits behind the point, and the number of bytes where that is fixed.
    Decimal(u32, Option<usize>),
    /// A decimal that has its scale in itself.
    BigDecimal,
    /// Sixteen bytes; a UUID that is a text is just that.
    Uuid,
    Date,
    /// Since midnight.
    Time(Unit),
    /// Since 1970.
    Timestamp(Unit, Instant),
    /// Twelve bytes: months, days and milliseconds.
    Duration,
}

/// The unit of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Milli,
    Micro,
    Nano,
}

/// What a timestamp is: a moment, or what a clock shows somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instant {
    Utc,
    Local,
}

/// A member of a record.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// `"name":`
    pub(super) key: Box<[u8]>,
    pub(super) node: usize,
}

/// A schema whose top is a record.
#[derive(Debug)]
pub(super) struct Schema {
    nodes: Vec<Node>,
    fields: Vec<Field>,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// `Data` where it is not one, `Unsupported` where its top is not a record.
    pub(super) fn read(text: &[u8]) -> Result<Self> {
        let value: Value = serde_json::from_slice(text).map_err(|error| damaged("it is not JSON").caused_by(error))?;
        let mut reader = Reader { nodes: Vec::new(), names: HashMap::new() };
        let top = reader.node(&value, "")?;
        match &reader.nodes[top] {
            Node::Record(fields) => Ok(Self { fields: fields.clone(), nodes: reader.nodes }),
            _ => Err(Error::new(ErrorKind::Unsupported, "the rows of the Avro file are not records")
                .hint("write the values as fields of records")),
        }
    }

    pub(super) fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// The top record's members.
    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The columns that a catalog has for rows of this schema.
    ///
    /// It is what `airbyte/source-s3` writes, oddities included, since tables were made from it: times of day are
    /// integers there although their values are texts, and of timestamps only those in milliseconds have a format.
    /// A union, which that connector does not read, has the nearest type that holds its branches. The symbols of an enum
    /// are left out, since a later file may have more.
    /// Where more is asked for, times of all units are times, and a union of several types has all of them.
    pub(super) fn columns(&self, double_as_string: bool, inference: InferenceDepth) -> Vec<InferredColumn> {
        let rich = inference == InferenceDepth::Rich;
        let mut teller = Teller { schema: self, double_as_string, rich, left: MOST_TOLD };
        self.fields.iter().map(|field| teller.column(&field.name, field.node, 0, true)).collect()
    }
}

/// Tells columns. Types may hold themselves or one another many times, so depth and number are limited.
struct Teller<'a> {
    schema: &'a Schema,
    double_as_string: bool,
    rich: bool,
    /// Columns inside of others that may still be told.
    left: usize,
}

impl Teller<'_> {
    /// `top`: its values stand in the record itself.
    fn column(&mut self, name: &str, index: usize, depth: usize, top: bool) -> InferredColumn {
        let node = self.schema.node(index);
        let nested = match node {
            // What lies inside is not told, but a union has a type all the same.
            Node::Union(branches) if depth >= DEPTH => {
                let kinds = branches.iter().map(|branch| self.plain_type(self.schema.node(*branch), top));
                let merge = if self.rich { InferredType::merge_exactly } else { InferredType::merge };
                return InferredColumn::new(name, kinds.fold(InferredType::Null, merge));
            }
            _ if depth >= DEPTH => Nested::Unknown,
            Node::Array(item) => self.part("", *item, depth).map_or(Nested::Unknown, |item| Nested::Items(item.into())),
            Node::Map(value) => self.part("", *value, depth).map_or(Nested::Open, |value| Nested::Values(value.into())),
            Node::Record(fields) => {
                let fields = fields.iter().map(|field| self.part(&field.name, field.node, depth));
                fields.collect::<Option<_>>().map_or(Nested::Open, Nested::Fields)
            }
            Node::Union(branches) => {
                let branches: Vec<_> =
                    branches.iter().map(|branch| [self.column(name, *branch, depth + 1, top)]).collect();
                let inference = if self.rich { InferenceDepth::Rich } else { InferenceDepth::Compatible };
                let merged = infer::merge(branches.iter().map(<[_; 1]>::as_slice), inference).pop();
                return merged.unwrap_or_else(|| InferredColumn::new(name, InferredType::Null));
            }
            _ => Nested::Unknown,
        };
        InferredColumn { name: name.to_owned(), kind: self.plain_type(node, top), nested }
    }

    /// A column inside of one at this depth, if it may be told.
    fn part(&mut self, name: &str, index: usize, depth: usize) -> Option<InferredColumn> {
        self.left = self.left.checked_sub(1)?;
        Some(self.column(name, index, depth + 1, false))
    }

    /// The type of a node, whatever lies inside.
    fn plain_type(&self, node: &Node, top: bool) -> InferredType {
        match node {
            Node::Null => InferredType::Null,
            Node::Boolean => InferredType::Boolean,
            Node::Time(_) if self.rich => InferredType::Time,
            Node::Int | Node::Long | Node::Time(Unit::Milli | Unit::Micro) => InferredType::Integer,
            // Doubles inside of others stay numbers, whatever the catalog of that connector says.
            Node::Double if self.double_as_string && (top || !self.rich) => InferredType::String,
            Node::Float | Node::Double => InferredType::Number,
            Node::Array(_) => InferredType::Array,
            Node::Record(_) | Node::Map(_) => InferredType::Object,
            Node::Date => InferredType::Date,
            Node::Timestamp(unit, _) if self.rich || *unit == Unit::Milli => InferredType::Timestamp,
            _ => InferredType::String,
        }
    }
}

struct Reader {
    nodes: Vec<Node>,
    /// Named types by their full name.
    names: HashMap<String, usize>,
}

impl Reader {
    fn push(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The index of a type. `serde_json` does not nest deeper than 128 levels, so recursion is bounded.
    fn node(&mut self, value: &Value, namespace: &str) -> Result<usize> {
        match value {
            Value::String(name) => self.named(name, namespace),
            Value::Array(branches) => {
                let branches: Result<Vec<_>> = branches.iter().map(|branch| self.node(branch, namespace)).collect();
                let node = Node::Union(branches?);
                Ok(self.push(node))
            }
            Value::Object(object) => self.object(object, namespace),
            _ => Err(damaged("a type is neither a name, a list nor an object")),
        }
    }

    fn named(&mut self, name: &str, namespace: &str) -> Result<usize> {
        if let Some(node) = primitive(name) {
            return Ok(self.push(node));
        }
        let inside = full_name(name, namespace);
        let found = self.names.get(&inside).or_else(|| self.names.get(name));
        found.copied().ok_or_else(|| damaged("a type has an unknown name").with("type", name))
    }

    fn object(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<usize> {
        let kind = object.get("type").ok_or_else(|| damaged("a type has no `type`"))?;
        let Value::String(kind) = kind else { return self.node(kind, namespace) };
        match kind.as_str() {
            "record" | "error" => self.record(object, namespace),
            "enum" => {
                let symbols = list(object, "symbols")?.iter().map(|symbol| Ok(json_string(text_of(symbol)?)));
                let node = Node::Enum(symbols.collect::<Result<_>>()?);
                let index = self.push(node);
                self.define(object, namespace, index);
                Ok(index)
            }
            "fixed" => {
                let size = object.get("size").and_then(Value::as_u64).and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or_else(|| damaged("a fixed type has no `size`"))?;
                let index = self.push(fixed(object, size));
                self.define(object, namespace, index);
                Ok(index)
            }
            "array" => {
                let items = self.part(object, "items", namespace)?;
                Ok(self.push(Node::Array(items)))
            }
            "map" => {
                let values = self.part(object, "values", namespace)?;
                Ok(self.push(Node::Map(values)))
            }
            name => match primitive(name) {
                Some(node) => Ok(self.push(logical(object, node))),
                None => self.named(name, namespace),
            },
        }
    }

    fn part(&mut self, object: &Map<String, Value>, key: &'static str, namespace: &str) -> Result<usize> {
        let part = object.get(key).ok_or_else(|| damaged("an array or map has no item type").with("missing", key))?;
        self.node(part, namespace)
    }

    fn record(&mut self, object: &Map<String, Value>, namespace: &str) -> Result<usize> {
        // Its members may be of its own type.
        let index = self.push(Node::Null);
        let namespace = self.define(object, namespace, index);
        let mut fields = Vec::new();
        for field in list(object, "fields")? {
            let name = text_of(field.get("name").unwrap_or(&Value::Null))?;
            let kind = field.get("type").ok_or_else(|| damaged("a field has no type").with("field", name))?;
            let node = self.node(kind, &namespace)?;
            let mut key = Vec::new();
            write_key(name, &mut key);
            fields.push(Field { name: name.to_owned(), key: key.into(), node });
        }
        self.nodes[index] = Node::Record(fields);
        Ok(index)
    }

    /// Remembers a named type. Returns the namespace that holds inside of it.
    fn define(&mut self, object: &Map<String, Value>, namespace: &str, index: usize) -> String {
        let own = object.get("namespace").and_then(Value::as_str).unwrap_or(namespace);
        let name = full_name(object.get("name").and_then(Value::as_str).unwrap_or_default(), own);
        let inside = name.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        self.names.insert(name, index);
        inside
    }
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::String,
        _ => return None,
    })
}

/// A primitive type with what its logical type makes of it.
fn logical(object: &Map<String, Value>, node: Node) -> Node {
    let name = object.get("logicalType").and_then(Value::as_str).unwrap_or_default();
    match (name, &node) {
        ("decimal", Node::Bytes) => scale(object).map_or(node, |scale| Node::Decimal(scale, None)),
        ("big-decimal", Node::Bytes) => Node::BigDecimal,
        ("date", Node::Int) => Node::Date,
        ("time-millis", Node::Int) => Node::Time(Unit::Milli),
        ("time-micros", Node::Long) => Node::Time(Unit::Micro),
        ("timestamp-millis", Node::Long) => Node::Timestamp(Unit::Milli, Instant::Utc),
        ("timestamp-micros", Node::Long) => Node::Timestamp(Unit::Micro, Instant::Utc),
        ("timestamp-nanos", Node::Long) => Node::Timestamp(Unit::Nano, Instant::Utc),
        ("local-timestamp-millis", Node::Long) => Node::Timestamp(Unit::Milli, Instant::Local),
        ("local-timestamp-micros", Node::Long) => Node::Timestamp(Unit::Micro, Instant::Local),
        ("local-timestamp-nanos", Node::Long) => Node::Timestamp(Unit::Nano, Instant::Local),
        _ => node,
    }
}

fn fixed(object: &Map<String, Value>, size: usize) -> Node {
    match (object.get("logicalType").and_then(Value::as_str), size) {
        (Some("decimal"), _) => scale(object).map_or(Node::Fixed(size), |scale| Node::Decimal(scale, Some(size))),
        (Some("uuid"), 16) => Node::Uuid,
        (Some("duration"), 12) => Node::Duration,
        _ => Node::Fixed(size),
    }
}

/// The scale of a decimal, if that is one: it needs a precision that is not smaller.
fn scale(object: &Map<String, Value>) -> Option<u32> {
    let precision = object.get("precision").and_then(Value::as_u64).filter(|precision| *precision > 0)?;
    let scale = object.get("scale").map_or(Some(0), Value::as_u64)?;
    u32::try_from(scale).ok().filter(|_| scale <= precision)
}

fn full_name(name: &str, namespace: &str) -> String {
    if namespace.is_empty() || name.contains('.') { name.to_owned() } else { format!("{namespace}.{name}") }
}

fn list<'a>(object: &'a Map<String, Value>, key: &'static str) -> Result<&'a Vec<Value>> {
    object.get(key).and_then(Value::as_array).ok_or_else(|| damaged("a list is missing").with("missing", key))
}

fn text_of(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| damaged("a name is missing"))
}

fn json_string(text: &str) -> Box<[u8]> {
    let mut string = Vec::new();
    write_string(text, &mut string);
    string.into()
}

fn damaged(reason: &'static str) -> Error {
    Error::data("the schema of the Avro file is not valid").with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> String {
        let schema = Schema::read(text.as_bytes()).expect(text);
        let shown: Vec<_> =
            schema.fields().iter().map(|field| format!("{}: {:?}", field.name, schema.node(field.node))).collect();
        shown.join("; ")
    }

    #[test]
    fn names_are_found_in_their_namespace() {
        let schema = r#"{"type": "record", "name": "R", "namespace": "a.b", "fields": [
            {"name": "x", "type": {"type": "fixed", "name": "F", "size": 2}},
            {"name": "y", "type": "F"},
            {"name": "z", "type": "a.b.F"},
            {"name": "e", "type": {"type": "enum", "name": "c.E", "symbols": ["\"", "B"]}},
            {"name": "f", "type": ["null", "c.E"]},
            {"name": "r", "type": {"type": "array", "items": "R"}}]}"#;
        let schema = Schema::read(schema.as_bytes()).unwrap();
        let node = |at: usize| schema.node(schema.fields()[at].node);
        assert_eq!(schema.fields()[0].node, schema.fields()[1].node);
        assert_eq!(schema.fields()[0].node, schema.fields()[2].node);
        assert!(matches!(node(3), Node::Enum(symbols) if *symbols[0] == *br#""\"""#));
        assert!(matches!(node(4), Node::Union(branches) if branches[1] == schema.fields()[3].node));
        assert!(matches!(node(5), Node::Array(0)));
    }

    #[test]
    fn logical_types_that_do_not_fit_are_left_out() {
        let of =
            |kind: &str| fields(&format!(r#"{{"type":"record","name":"r","fields":[{{"name":"a","type":{kind}}}]}}"#));
        for (kind, expected) in [
            (r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#, "a: Decimal(2, None)"),
            (r#"{"type":"bytes","logicalType":"decimal","precision":2,"scale":4}"#, "a: Bytes"),
            (r#"{"type":"bytes","logicalType":"decimal"}"#, "a: Bytes"),
            (r#"{"type":"string","logicalType":"date"}"#, "a: String"),
            (r#"{"type":{"type":"long","logicalType":"timestamp-nanos"}}"#, "a: Timestamp(Nano, Utc)"),
            (r#"{"type":"string","logicalType":"uuid","avro.java.string":"String"}"#, "a: String"),
            (r#"{"type":"fixed","name":"d","size":12,"logicalType":"duration"}"#, "a: Duration"),
            (r#"{"type":"fixed","name":"d","size":13,"logicalType":"duration"}"#, "a: Fixed(13)"),
        ] {
            assert_eq!(of(kind), expected, "{kind}");
        }
    }

    #[test]
    fn types_that_hold_themselves_are_told_to_a_limit() {
        fn count(column: &InferredColumn) -> usize {
            let inside: usize = match &column.nested {
                Nested::Fields(fields) => fields.iter().map(count).sum(),
                Nested::Items(part) | Nested::Values(part) => count(part),
                Nested::Unknown | Nested::Open => 0,
            };
            1 + inside
        }
        let schema = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":["null","R"]},{"name":"b","type":{"type":"array","items":"R"}},
            {"name":"c","type":{"type":"map","values":"R"}}]}"#;
        let columns = Schema::read(schema.as_bytes()).unwrap().columns(false, InferenceDepth::Compatible);
        let kinds: Vec<InferredType> = columns.iter().map(|column| column.kind).collect();
        assert_eq!(kinds, [InferredType::Object, InferredType::Array, InferredType::Object]);
        let told: usize = columns.iter().map(count).sum();
        assert!(told <= MOST_TOLD + 3, "{told} columns");
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        for text in [
            "",
            "7",
            "\"record\"",
            r#"{"type":"record","name":"r"}"#,
            r#"{"type":"record","name":"r","fields":[{"name":"a"}]}"#,
            r#"{"type":"record","name":"r","fields":[{"name":"a","type":"what"}]}"#,
            r#"{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"fixed","name":"f","size":-1}}]}"#,
            r#"{"type":"array","items":"int"}"#,
        ] {
            assert!(Schema::read(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Schema::read("[".repeat(10_000).as_bytes()).is_err());
    }
}
