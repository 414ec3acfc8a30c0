//! The parameters of partitions, at the root or in each stream.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::span::span;
use crate::dialect::{Dialect, PerDialect};
use crate::input::{Object, one_of, part_of, wrong};
use crate::provenance::{ProvenanceLog, join};
use tollgate_base::error::{Error, Result};
use tollgate_base::options::FormatOptions;
use tollgate_base::options::partition::{
    Comparison, Condition, Filter, Operand, PartitionColumns, PartitionType, Partitions, Shift, Template, Test,
};

const COLUMNS: PerDialect<PartitionColumns> = PerDialect::same(PartitionColumns::None).flat(PartitionColumns::Hive);
const COLUMNS_OF_PARQUET: PerDialect<PartitionColumns> =
    PerDialect::same(PartitionColumns::HiveParts).flat(PartitionColumns::Hive).fivetran(PartitionColumns::None);

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct PartitionsInput {
    /// The names of the partitions, in the order of the folders below the prefix, for example `["year", "month",
    /// "day"]`. Folders such as `year=2024` are matched by name, others by position. A file whose key has no value
    /// for a partition, or a value of another type, is treated as a bad row (`on_error`). When absent, and a filter
    /// needs them, the names are inferred from a sample of the folders.
    #[schemars(title = "Partition Keys")]
    partition_keys: Option<Vec<String>>,
    /// The pattern of the folders below the prefix, for example `{date}/TPU={tpu}/reactor={reactor}/`. `*` matches a
    /// folder of any name. With a template, the names are not inferred. When absent, see `partition_keys`.
    #[schemars(title = "Partition Template")]
    partition_template: Option<String>,
    /// The types of partitions, for example `{"month": "integer", "date": "date"}`: `string`, `integer`, `number`,
    /// `boolean`, `date` or `timestamp`. A partition without a type is a string: `01` stays `01`. For filters,
    /// `partition_lookback` and `inventory`, the connector also detects dates in partitions without a type. It looks at
    /// the values, or at the name if it has seen no value.
    #[schemars(title = "Partition Types", extend("airbyte_hidden" = true, "properties" = example("date", "Type of the Date", OTHERS)))]
    partition_types: Option<BTreeMap<String, String>>,
    /// Which partitions are read, for example `{"year": "2024", "month": ["01", "02"]}` or `{"date": {"gte":
    /// "2024-01-01", "lt": "now-1d"}}`. Other partitions are not listed. The tests are `eq`, `ne`, `in`, `not_in`,
    /// `gt`, `gte`, `lt` and `lte`. Times may be relative to now. Filters and folders may have dates in any usual
    /// format (`2024-01-15`, `2024-1-15`, `20240115`). A folder of a month or a year is read if it can contain a
    /// matching day. In a date partition, a filter value that is not a date is an error, and a key with such a value is
    /// treated as a bad row (`on_error`). A year, a month and a day partition also form one `date` partition. If you
    /// widen a filter, the files that it excluded before are read. Beyond its 10,000 newest files, the state does not
    /// know which files outside the old filter were read already, so they are read again. When absent, all partitions
    /// are read.
    #[schemars(title = "Partition Filter", extend("airbyte_hidden" = true, "properties" = example("name_of_partition", "Value or Tests", INSTEAD)))]
    partition_filter: Option<Object>,
    /// How far before the newest partition of the last complete sync the next incremental sync starts, for example
    /// `3d`. Older partitions are not listed again, so files that arrive in them later are not read. Partitions must
    /// have dates; folders without a date are always listed. When absent, every sync lists all partitions.
    #[schemars(title = "Partition Lookback")]
    partition_lookback: Option<String>,
    /// Which partitions become columns: `none`, `hive` (folders such as `year=2024`), `hive_parts` (also file names
    /// such as `x=1.csv`) or `all` (also folders that are matched by position). When absent, it is `all` if
    /// `partition_keys` or `partition_template` is set. Otherwise, it is `hive` in the flat form, `hive_parts` for
    /// Parquet in Airbyte's forms, and `none` in all other cases.
    #[schemars(title = "Partition Columns")]
    partition_columns: Option<PartitionColumns>,
}

const OTHERS: &str = "The type of the partition `date`. All other partitions are written in the same way.";
/// A value can also be a list or an object of tests, so that no partition that somebody has may be the example.
const INSTEAD: &str = "Replace this name with the name of a partition.";

/// The lint of platforms wants each object to have a property of one type. These have those that the user has partitions for.
fn example(name: &str, title: &str, description: &str) -> Value {
    json!({name: {"type": "string", "title": title, "description": description}})
}

impl PartitionsInput {
    /// What the keys of an object mean for a stream of a format.
    ///
    /// # Errors
    /// Config, with the JSON path of what is wrong.
    pub(crate) fn parse(
        object: &Object,
        dialect: Dialect,
        format: &FormatOptions,
        path: &str,
        log: &mut ProvenanceLog,
    ) -> Result<Partitions> {
        let input: Self = part_of(object, path, log)?;
        Self::note_objects(object, path, log);
        input.partitions(dialect, format, path, log)
    }

    /// Records the parameters that are objects: their reading leaves that to others, which objects usually need.
    pub(crate) fn note_objects(object: &Object, path: &str, log: &mut ProvenanceLog) {
        for key in ["partition_types", "partition_filter"] {
            if let Some(value) = object.get(key) {
                log.accepted(&join(path, key), value);
            }
        }
    }

    fn partitions(
        self,
        dialect: Dialect,
        format: &FormatOptions,
        path: &str,
        log: &mut ProvenanceLog,
    ) -> Result<Partitions> {
        let mut partitions = Partitions {
            keys: keys(self.partition_keys.unwrap_or_default(), &join(path, "partition_keys"))?,
            template: template(self.partition_template.as_deref(), &join(path, "partition_template"))?,
            types: types(self.partition_types.unwrap_or_default(), &join(path, "partition_types"))?,
            filter: None,
            lookback_seconds: span(self.partition_lookback.as_deref(), &join(path, "partition_lookback"))?,
            columns: PartitionColumns::None,
        };
        known_keys(&partitions, path)?;
        if let Some(filter) = self.partition_filter.filter(|filter| !filter.is_empty()) {
            partitions.filter = Some(self::filter(filter, &partitions, &join(path, "partition_filter"))?);
        }
        let default = columns_by_default(dialect, format, &partitions);
        if self.partition_columns.is_none() {
            log.defaulted(join(path, "partition_columns"), &default.name().into());
        }
        partitions.columns = self.partition_columns.unwrap_or(default);
        Ok(partitions)
    }

    /// The native form of a stream's partitions.
    pub(crate) fn native(partitions: &Partitions, format: &FormatOptions) -> Self {
        let types = partitions.types.iter().map(|(name, kind)| (name.clone(), kind.name().to_owned()));
        let default = columns_by_default(Dialect::Airbyte, format, partitions);
        Self {
            partition_keys: Some(partitions.keys.clone()).filter(|keys| !keys.is_empty()),
            partition_template: partitions.template.as_ref().map(|template| template.text().to_owned()),
            partition_types: Some(types.collect()).filter(|types: &BTreeMap<_, _>| !types.is_empty()),
            partition_filter: partitions.filter.as_ref().and_then(|filter| filter.written.as_object().cloned()),
            partition_lookback: partitions.lookback_seconds.map(|seconds| format!("{seconds}s")),
            partition_columns: Some(partitions.columns).filter(|columns| *columns != default),
        }
    }
}

/// The parameters that describe the folders. They belong together: a stream that has one of them does not take the
/// other from the root.
pub(crate) const FOLDERS: [&str; 2] = ["partition_keys", "partition_template"];

/// Which partitions become columns where nothing is written: all where they were given.
pub(crate) fn columns_by_default(
    dialect: Dialect,
    format: &FormatOptions,
    partitions: &Partitions,
) -> PartitionColumns {
    if !partitions.keys.is_empty() || partitions.template.is_some() {
        return PartitionColumns::All;
    }
    match format {
        FormatOptions::Parquet(_) => COLUMNS_OF_PARQUET.of(dialect),
        _ => COLUMNS.of(dialect),
    }
}

fn keys(keys: Vec<String>, path: &str) -> Result<Vec<String>> {
    for (index, key) in keys.iter().enumerate() {
        if key.is_empty() {
            return Err(wrong(&join(path, &format!("[{index}]")), "empty", "the name of a partition"));
        }
        if keys[..index].contains(key) {
            return Err(wrong(&join(path, &format!("[{index}]")), format!("'{key}'"), "a name that occurs only once"));
        }
    }
    Ok(keys)
}

fn template(text: Option<&str>, path: &str) -> Result<Option<Template>> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let template = Template::parse(text).map_err(|reason| {
        Error::config(format!("`{path}` is '{text}': {reason}"))
            .hint("write it as `{date}/TPU={tpu}/reactor={reactor}/`")
    })?;
    Ok(Some(template))
}

fn types(types: BTreeMap<String, String>, path: &str) -> Result<Vec<(String, PartitionType)>> {
    let known = PartitionType::ALL.map(PartitionType::name);
    let typed =
        types.into_iter().map(|(name, text)| match PartitionType::ALL.into_iter().find(|kind| kind.name() == text) {
            Some(kind) => Ok((name, kind)),
            None => Err(wrong(&join(path, &name), format!("'{text}'"), &one_of(&known))),
        });
    typed.collect()
}

/// Two lists of partitions must be the same one.
fn known_keys(partitions: &Partitions, path: &str) -> Result<()> {
    let Some(template) = &partitions.template else { return Ok(()) };
    let keys = &partitions.keys;
    if !keys.is_empty() && !template.fields().eq(keys.iter().map(String::as_str)) {
        let message = format!(
            "`{}` names different partitions than `{}`",
            join(path, "partition_keys"),
            join(path, "partition_template")
        );
        return Err(Error::config(message).hint("remove `partition_keys`: the template names the partitions"));
    }
    Ok(())
}

fn filter(written: Object, partitions: &Partitions, path: &str) -> Result<Filter> {
    let mut conditions = Vec::with_capacity(written.len());
    for (column, value) in &written {
        let path = join(path, column);
        let tests = tests(value, &path)?;
        for operand in tests.iter().flat_map(Test::operands) {
            let kind = partitions.type_of(column);
            if !operand.fits(kind) {
                let expected = kind.map_or("a value", PartitionType::name);
                return Err(wrong(&path, operand, &format!("a value of the partition's type {expected}")));
            }
        }
        conditions.push(Condition { column: column.clone(), tests });
    }
    Ok(Filter { written: Value::Object(written), conditions })
}

const TESTS: &[&str] = &["eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte"];

fn tests(value: &Value, path: &str) -> Result<Vec<Test>> {
    match value {
        Value::Object(tests) if tests.is_empty() => Err(wrong(path, "{}", &format!("{} in it", one_of(TESTS)))),
        Value::Object(tests) => tests.iter().map(|(name, value)| test(name, value, &join(path, name))).collect(),
        Value::Array(_) => Ok(vec![Test::OneOf(list(value, path)?)]),
        single => Ok(vec![Test::OneOf(vec![operand(single, path)?])]),
    }
}

fn test(name: &str, value: &Value, path: &str) -> Result<Test> {
    let compared = |comparison| match operand(value, path)? {
        Operand::Null | Operand::Boolean(_) => {
            Err(wrong(path, value, "a value that can be ordered: a number, a string or a time"))
        }
        operand => Ok(Test::Compare(comparison, operand)),
    };
    match name {
        "eq" => Ok(Test::OneOf(vec![operand(value, path)?])),
        "ne" => Ok(Test::NoneOf(vec![operand(value, path)?])),
        "in" => Ok(Test::OneOf(list(value, path)?)),
        "not_in" => Ok(Test::NoneOf(list(value, path)?)),
        "gt" => compared(Comparison::Greater),
        "gte" => compared(Comparison::GreaterOrEqual),
        "lt" => compared(Comparison::Less),
        "lte" => compared(Comparison::LessOrEqual),
        _ => Err(Error::config(format!("`{path}` is not a known test")).hint(format!("use {}", one_of(TESTS)))),
    }
}

fn list(value: &Value, path: &str) -> Result<Vec<Operand>> {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let operands =
                items.iter().enumerate().map(|(index, item)| operand(item, &join(path, &format!("[{index}]"))));
            operands.collect()
        }
        other => Err(wrong(path, other, "a list with at least one value")),
    }
}

fn operand(value: &Value, path: &str) -> Result<Operand> {
    let expected = "a string, a number, a boolean, null or a time such as 'now-1d'";
    match value {
        Value::Null => Ok(Operand::Null),
        Value::Bool(value) => Ok(Operand::Boolean(*value)),
        Value::Number(number) => number.as_f64().map(Operand::Number).ok_or_else(|| wrong(path, number, expected)),
        Value::String(text) => match Shift::parse(text) {
            Some(shift) => Ok(Operand::Now(shift)),
            None if text.starts_with("now-") || text.starts_with("now+") => {
                let form = "a time such as 'now-1d'; the units are s, m, h, d, w, M (months) and y";
                Err(wrong(path, format!("'{text}'"), form))
            }
            None => Ok(Operand::Text(text.clone())),
        },
        other => Err(wrong(path, other, expected)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parameters: Value) -> Result<Partitions> {
        let (object, log) = (parameters.as_object().expect("an object"), &mut ProvenanceLog::default());
        PartitionsInput::parse(object, Dialect::Flat, &FormatOptions::Jsonl, "", log)
    }

    #[test]
    fn filters_are_read_into_tests() {
        let partitions = read(json!({
            "partition_keys": ["year", "month"], "partition_lookback": "2d",
            "partition_filter": {"year": "2024", "month": ["01", 2, null], "date": {"gte": "2024-01-01", "lt": "now-1d"}},
        }))
        .unwrap();
        assert_eq!(partitions.lookback_seconds, Some(2 * 86_400));
        assert_eq!(partitions.columns, PartitionColumns::All);
        let filter = partitions.filter.unwrap();
        assert_eq!(filter.conditions[0].tests, [Test::OneOf(vec![Operand::Text("2024".to_owned())])]);
        let months = vec![Operand::Text("01".to_owned()), Operand::Number(2.0), Operand::Null];
        assert_eq!(filter.conditions[1].tests, [Test::OneOf(months)]);
        assert_eq!(filter.conditions[2].tests.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (parameters, part) in [
            (json!({"partition_filter": {"date": {"gte": "now-1x"}}}), "`partition_filter.date.gte` is 'now-1x'"),
            (
                json!({"partition_filter": {"date": {"after": "2024"}}}),
                "`partition_filter.date.after` is not a known test",
            ),
            (json!({"partition_filter": {"date": {}}}), "`partition_filter.date` is {}"),
            (json!({"partition_filter": {"date": []}}), "`partition_filter.date` is []"),
            (json!({"partition_filter": {"date": ["a", {"b": 1}]}}), "`partition_filter.date[1]` is {"),
            (json!({"partition_filter": {"date": {"lt": null}}}), "`partition_filter.date.lt` is null"),
            (json!({"partition_filter": ["a"]}), "`partition_filter` is a list, expected an object"),
            (
                json!({"partition_filter": {"n": "x"}, "partition_types": {"n": "integer"}}),
                "`partition_filter.n` is 'x'",
            ),
            (json!({"partition_types": {"n": "int"}}), "`partition_types.n` is 'int'"),
            (json!({"partition_keys": ["a", "a"]}), "`partition_keys[1]` is 'a'"),
            (json!({"partition_keys": "a"}), "`partition_keys` is"),
            (json!({"partition_template": "a/b"}), "`partition_template` is 'a/b'"),
            (json!({"partition_template": "{a}", "partition_keys": ["b"]}), "names different partitions"),
            (json!({"partition_lookback": "soon"}), "`partition_lookback` is 'soon'"),
            (json!({"partition_columns": "some"}), "`partition_columns`"),
        ] {
            let error = read(parameters.clone()).expect_err(&parameters.to_string());
            assert!(error.message().contains(part), "{parameters}: {}", error.message());
        }
    }
}
