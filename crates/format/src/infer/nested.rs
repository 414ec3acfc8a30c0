//! What lies inside of columns: members of objects, items of arrays.

use arrow::datatypes::DataType;
use serde_json::Value;

use super::arrow_type::type_of_arrow;
use super::{InferredColumn, InferredType, Nested};

/// Containers inside one another that are told.
const DEPTH: usize = 10;

/// Members of an object that are told; one with more has keys that are data.
const FIELDS: usize = 200;

/// The type of an Arrow column, with that of what lies inside, and the plain types where the connector we replace is odd.
pub(super) fn of_arrow(kind: &DataType, decimal_as_float: bool, depth: usize) -> (InferredType, Nested) {
    let column = |name: &str, kind: &DataType| {
        let (kind, nested) = of_arrow(kind, decimal_as_float, depth + 1);
        InferredColumn { name: name.to_owned(), kind, nested }
    };
    match kind {
        DataType::Dictionary(_, values) => of_arrow(values, decimal_as_float, depth),
        DataType::RunEndEncoded(_, values) => of_arrow(values.data_type(), decimal_as_float, depth),
        DataType::Time32(_) | DataType::Time64(_) => (InferredType::Time, Nested::Unknown),
        _ if depth >= DEPTH => (type_of_arrow(kind, decimal_as_float), Nested::Unknown),
        DataType::Struct(fields) if fields.len() > FIELDS => (InferredType::Object, Nested::Open),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|field| column(field.name(), field.data_type()));
            (InferredType::Object, Nested::Fields(fields.collect()))
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item) => (InferredType::Array, Nested::Items(Box::new(column("", item.data_type())))),
        kind => (type_of_arrow(kind, decimal_as_float), Nested::Unknown),
    }
}

/// The type of a JSON array or object, with that of what lies inside.
pub(super) fn of_json(kind: InferredType, text: &[u8]) -> (InferredType, Nested) {
    // Nested more deeply than its reader goes, it is what it is.
    serde_json::from_slice(text).map_or((kind, Nested::Unknown), |value| of_value(&value, 0))
}

fn of_value(value: &Value, depth: usize) -> (InferredType, Nested) {
    let kind = match value {
        Value::Null => InferredType::Null,
        Value::Bool(_) => InferredType::Boolean,
        Value::Number(number) if number.is_f64() => InferredType::Number,
        Value::Number(_) => InferredType::Integer,
        Value::String(_) => InferredType::String,
        Value::Array(items) if depth < DEPTH => return (InferredType::Array, items_of(items, depth)),
        Value::Object(object) if object.len() > FIELDS => return (InferredType::Object, Nested::Open),
        Value::Object(object) if depth < DEPTH => {
            let fields = object.iter().map(|(name, value)| {
                let (kind, nested) = of_value(value, depth + 1);
                InferredColumn { name: name.clone(), kind, nested }
            });
            return (InferredType::Object, Nested::Fields(fields.collect()));
        }
        Value::Array(_) => InferredType::Array,
        Value::Object(_) => InferredType::Object,
    };
    (kind, Nested::Unknown)
}

fn items_of(items: &[Value], depth: usize) -> Nested {
    let mut item: Option<InferredColumn> = None;
    for value in items {
        let (kind, nested) = of_value(value, depth + 1);
        match &mut item {
            Some(item) => widen(item, kind, nested, true),
            None => item = Some(InferredColumn { name: String::new(), kind, nested }),
        }
    }
    item.map_or(Nested::Unknown, |item| Nested::Items(Box::new(item)))
}

/// Makes a column take values of another type too; `exact`: as they are.
pub(super) fn widen(column: &mut InferredColumn, kind: InferredType, nested: Nested, exact: bool) {
    column.kind = if exact { column.kind.merge_exactly(kind) } else { column.kind.merge(kind) };
    let inside = std::mem::take(&mut column.nested);
    column.nested = match column.kind {
        InferredType::Array | InferredType::Object => merge(inside, nested, exact),
        _ => Nested::Unknown,
    };
}

fn merge(one: Nested, other: Nested, exact: bool) -> Nested {
    match (one, other) {
        (Nested::Unknown, known) | (known, Nested::Unknown) => known,
        (Nested::Items(mut item), Nested::Items(other)) => {
            widen(&mut item, other.kind, other.nested, exact);
            Nested::Items(item)
        }
        (Nested::Values(mut value), Nested::Values(other)) => {
            widen(&mut value, other.kind, other.nested, exact);
            Nested::Values(value)
        }
        (Nested::Fields(mut fields), Nested::Fields(others)) => {
            for other in others {
                match fields.iter_mut().find(|field| field.name == other.name) {
                    Some(field) => widen(field, other.kind, other.nested, exact),
                    None => fields.push(other),
                }
            }
            if fields.len() > FIELDS { Nested::Open } else { Nested::Fields(fields) }
        }
        _ => Nested::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(texts: &[&str]) -> InferredColumn {
        let mut column = InferredColumn::new("x", InferredType::Null);
        for text in texts {
            let (kind, nested) = of_value(&serde_json::from_str(text).unwrap(), 0);
            widen(&mut column, kind, nested, true);
        }
        column
    }

    fn fields(column: &InferredColumn) -> Vec<(&str, InferredType)> {
        let Nested::Fields(fields) = &column.nested else { panic!("no fields in {column:?}") };
        fields.iter().map(|field| (field.name.as_str(), field.kind)).collect()
    }

    #[test]
    fn members_and_items_widen_as_columns_do() {
        use InferredType::*;
        let column = told(&[r#"{"a":1,"b":null}"#, "null", r#"{"b":[],"a":1.5,"c":{"d":"x"}}"#]);
        assert_eq!((column.kind, fields(&column)), (Object, vec![("a", Number), ("b", Array), ("c", Object)]));
        let column = told(&["[null]", "[]", r#"[1, "x"]"#]);
        let Nested::Items(item) = &column.nested else { panic!("no items in {column:?}") };
        assert_eq!((column.kind, item.kind), (Array, Mixed), "a catalog that says string would be wrong of 1");
        let column = told(&["[1]", r#"{"a":1}"#, "null"]);
        assert_eq!((column.kind, &column.nested), (Mixed, &Nested::Unknown));
    }

    #[test]
    fn objects_whose_keys_are_data_stay_open() {
        let texts: Vec<std::string::String> = (0..300).map(|i| format!("{{\"k{i}\":1}}")).collect();
        let column = told(&texts.iter().map(|text| text.as_str()).collect::<Vec<_>>());
        assert_eq!((column.kind, column.nested), (InferredType::Object, Nested::Open));
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(told(&[&deep]).kind, InferredType::Array);
    }
}
