//! Predicates as configurations have them: pyarrow's `filters`, in JSON.

use serde_json::{Value as Json, json};

use super::condition::{Condition, List, Operator, Predicate, Test};
use super::operand::Operand;
use crate::error::{Error, Result};

const OPERATORS: &[(&str, Operator)] = &[
    ("=", Operator::Equal),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
];

/// Whole numbers from here on are rounded by readers of JSON that have doubles only, ours included where they do not
/// fit 64 bits.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Predicate {
    /// Reads `[[column, operator, value], …]` (all must hold) or a list of such lists (one of them must). An empty list
    /// is `None`. `path` is its JSON path in the configuration.
    ///
    /// # Errors
    /// Config, with the JSON path, the wrong value and the expected one.
    pub fn parse(json: &Json, path: &str) -> Result<Option<Self>> {
        let items = list(json, path, "a list of conditions such as [[\"year\", \">=\", 2024]]")?;
        let Some(first) = items.first() else { return Ok(None) };
        let single = first.get(0).is_none_or(|first| !first.is_array());
        if single {
            return Ok(Some(Self::new(vec![conditions(items, path)?])));
        }
        let mut alternatives = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let items = list(item, &path, "a list of conditions")?;
            if items.is_empty() {
                return Err(wrong(&path, "an empty list", "a list of conditions, all of which must hold"));
            }
            alternatives.push(conditions(items, &path)?);
        }
        Ok(Some(Self::new(alternatives)))
    }

    /// As a list of lists of conditions, which [`Predicate::parse`] reads.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let condition = |condition: &Condition| match &condition.test {
            Test::Compare(operator, operand) => json!([condition.column, operator.text(), operand.to_json()]),
            Test::In(items) => json!([condition.column, "in", items.to_json()]),
            Test::NotIn(items) => json!([condition.column, "not in", items.to_json()]),
            Test::Null => json!([condition.column, "is null"]),
            Test::NotNull => json!([condition.column, "is not null"]),
        };
        self.alternatives.iter().map(|all| all.iter().map(condition).collect::<Json>()).collect()
    }
}

impl List {
    fn to_json(&self) -> Json {
        self.items.iter().map(Operand::to_json).collect()
    }
}

impl Operator {
    fn text(self) -> &'static str {
        OPERATORS.iter().find(|(_, operator)| *operator == self).map_or("=", |(text, _)| text)
    }
}

fn conditions(items: &[Json], path: &str) -> Result<Vec<Condition>> {
    items.iter().enumerate().map(|(index, item)| condition(item, &format!("{path}[{index}]"))).collect()
}

fn condition(json: &Json, path: &str) -> Result<Condition> {
    const SHAPE: &str = "a condition such as [\"year\", \">=\", 2024] or [\"name\", \"is not null\"]";
    let parts = list(json, path, SHAPE)?;
    let (column, operator, value) = match parts {
        [column, operator] => (column, operator, None),
        [column, operator, value] => (column, operator, Some(value)),
        _ => return Err(wrong(path, json, SHAPE)),
    };
    let column = column
        .as_str()
        .filter(|name| !name.is_empty())
        .ok_or_else(|| wrong(&format!("{path}[0]"), column, "the name of a column"))?;
    let operator_path = format!("{path}[1]");
    let operator = operator.as_str().ok_or_else(|| wrong(&operator_path, operator, &operators()))?;
    let spelled = operator.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    Ok(Condition::new(column, test(&spelled, value, path)?))
}

fn test(operator: &str, value: Option<&Json>, path: &str) -> Result<Test> {
    let (operator_path, value_path) = (format!("{path}[1]"), format!("{path}[2]"));
    if let "is null" | "is not null" = operator {
        return match value {
            None | Some(Json::Null) => Ok(if operator == "is null" { Test::Null } else { Test::NotNull }),
            Some(value) => Err(wrong(&value_path, value, &format!("nothing after '{operator}'"))),
        };
    }
    let comparison = OPERATORS.iter().find(|(text, _)| *text == operator).map(|(_, comparison)| *comparison);
    if comparison.is_none() && !matches!(operator, "in" | "not in") {
        return Err(wrong(&operator_path, format!("'{operator}'"), &operators()));
    }
    let Some(value) = value else {
        return Err(wrong(path, "without a value", &format!("a value after '{operator}'")));
    };
    if let Some(comparison) = comparison {
        return Ok(Test::Compare(comparison, operand(value, &value_path)?));
    }
    let items = list(value, &value_path, "a list of values")?;
    if items.is_empty() {
        return Err(wrong(&value_path, "an empty list", "a list of at least one value"));
    }
    let items = items.iter().enumerate().map(|(index, item)| operand(item, &format!("{value_path}[{index}]")));
    let items = List::new(items.collect::<Result<_>>()?);
    Ok(if operator == "in" { Test::In(items) } else { Test::NotIn(items) })
}

fn operand(json: &Json, path: &str) -> Result<Operand> {
    match json {
        Json::Bool(value) => Ok(Operand::boolean(*value)),
        Json::String(text) => Ok(Operand::of_text(text)),
        Json::Number(number) => {
            let rounded = number.is_f64() && number.as_f64().is_none_or(|double| double.abs() >= EXACT);
            if rounded {
                return Err(wrong(
                    path,
                    number,
                    "the same number as a string: JSON parsers round numbers of this size",
                ));
            }
            Operand::of_number(&number.to_string()).ok_or_else(|| wrong(path, number, "a number"))
        }
        Json::Null => Err(Error::config(format!("`{path}` is null, and no value equals null"))
            .hint("use the operator 'is null' or 'is not null'")),
        Json::Array(_) | Json::Object(_) => Err(wrong(path, json, "a string, a number, true or false")),
    }
}

fn list<'j>(json: &'j Json, path: &str, expected: &str) -> Result<&'j [Json]> {
    json.as_array().map(Vec::as_slice).ok_or_else(|| wrong(path, json, expected))
}

fn operators() -> String {
    let texts: Vec<_> = OPERATORS.iter().map(|(text, _)| format!("'{text}'")).collect();
    format!("{}, 'in', 'not in', 'is null' or 'is not null'", texts.join(", "))
}

fn wrong(path: &str, found: impl std::fmt::Display, expected: &str) -> Error {
    Error::config(format!("`{path}` is {found}, expected {expected}"))
}
