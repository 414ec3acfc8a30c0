//! What is written about partitions: at the root, or in each stream where a configuration has several.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Dialect;
use crate::defaults;
use crate::job::Stream;
use crate::notes::{Notes, join};
use crate::read::{Object, fields_of, one_of, part_of, wrong};
use tollgate_base::error::{Error, Result};
use tollgate_base::options::FormatOptions;
use tollgate_base::options::inventory::{InventorySource, OnGap};
use tollgate_base::options::partition::{
    Comparison, Condition, Filter, Operand, PartitionColumns, PartitionType, Partitions, Shift, Template, Test,
    span_seconds,
};

/// The parameters as written.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Written {
    /// The names of the partitions in the order of the folders below the prefix, for example `["year", "month", "day"]`.
    /// Folders such as `year=2024` are told by their name, others by their place. A file whose key has no value for one of
    /// them, or none of its type, is treated as a bad row (`on_error`). When absent they are found out from a sample of
    /// the folders where a filter needs them.
    #[schemars(title = "Partition Keys")]
    partition_keys: Option<Vec<String>>,
    /// The folders below the prefix written out, for example `{date}/TPU={tpu}/reactor={reactor}/`; `*` is a folder of any
    /// name. With it nothing has to be found out. When absent see `partition_keys`.
    #[schemars(title = "Partition Template")]
    partition_template: Option<String>,
    /// The types of partitions, for example `{"month": "integer", "date": "date"}`: `string`, `integer`, `number`,
    /// `boolean`, `date` or `timestamp`. A partition without one is a string: `01` stays `01`. Filters, `partition_lookback`
    /// and `inventory` see by its values, or by its name where no value was seen, whether it is a date.
    #[schemars(title = "Partition Types", extend("airbyte_hidden" = true, "properties" = example("date", "Type of the Date", OTHERS)))]
    partition_types: Option<BTreeMap<String, String>>,
    /// Which partitions are read, and listed at all, for example `{"year": "2024", "month": ["01", "02"]}` or `{"date":
    /// {"gte": "2024-01-01", "lt": "now-1d"}}`. Tests are `eq`, `ne`, `in`, `not_in`, `gt`, `gte`, `lt` and `lte`; times
    /// may be relative to now. Dates may be written in any usual way, in the filter as in the folders (`2024-01-15`,
    /// `2024-1-15`, `20240115`), and a folder of a month or a year is read where it can hold a wanted day; a value in the
    /// filter that is no date beside dates is an error, and a key with such a value is treated as a bad row (`on_error`).
    /// Partitions that are a year, a month and a day are one `date` as well. A filter that is
    /// widened reads what it left out before; beyond its 10,000 newest files the state does not know which of those that
    /// had left the filter were read, and they are read again. When absent all partitions are read.
    #[schemars(title = "Partition Filter", extend("airbyte_hidden" = true, "properties" = example("name_of_partition", "Value or Tests", INSTEAD)))]
    partition_filter: Option<Object>,
    /// How far behind the newest partition of the last complete sync the next incremental one begins, for example `3d`:
    /// older partitions are not listed again, and what arrives in them later is not read. Partitions must have dates;
    /// folders without one are always listed. When absent every sync lists all partitions.
    #[schemars(title = "Partition Lookback")]
    partition_lookback: Option<String>,
    /// Which partitions become columns: `none`, `hive` (folders such as `year=2024`), `hive_parts` (also a file name such
    /// as `x=1.csv`) or `all` (also folders that are told by their place). When absent it is `all` beside
    /// `partition_keys` or `partition_template`; else `hive_parts` for Parquet in Airbyte's forms, `none` for
    /// other formats there and in the Fivetran-style form, and `hive` in the flat form.
    #[schemars(title = "Partition Columns")]
    partition_columns: Option<ColumnsWritten>,
    /// An S3 Inventory (CSV or Parquet) that takes the place of the listing: `s3://bucket/…/manifest.json`, or the folder
    /// of its configuration, `s3://bucket/prefix/source-bucket/configuration/`, of which the newest complete one is taken.
    /// It must cover the stream's prefix, and have size, date and ETag; archived objects count as not restored. Partitions
    /// from its time on are listed besides; what comes into older ones later is seen with the next inventory. When absent
    /// the bucket is listed.
    #[schemars(title = "S3 Inventory")]
    inventory: Option<String>,
    /// How far before the inventory's time partitions are listed all the same, for example `12h`: an inventory may lack what
    /// was written shortly before, and files may come late. When absent it is `2d`.
    #[schemars(title = "Inventory Margin")]
    inventory_margin: Option<String>,
    /// What happens where the partitions have no dates, so that only a listing of everything would show what came after the
    /// inventory: `fail` refuses the stream, `warn` reads what the inventory has and says that the rest is left to the
    /// next one. When absent it is `fail`.
    #[schemars(title = "On Inventory Gap")]
    on_inventory_gap: Option<OnGapWritten>,
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum OnGapWritten {
    Fail,
    Warn,
}

const OTHERS: &str = "The type of the partition `date`. All other partitions are written in the same way.";
/// A value can also be a list or an object of tests, so that no partition that somebody has may be the example.
const INSTEAD: &str = "Write the name of a partition in place of this one.";

/// The lint of platforms wants each object to have a property of one type. These have those that the user has partitions for.
fn example(name: &str, title: &str, description: &str) -> Value {
    json!({name: {"type": "string", "title": title, "description": description}})
}

#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ColumnsWritten {
    None,
    Hive,
    HiveParts,
    All,
}

impl From<ColumnsWritten> for PartitionColumns {
    fn from(written: ColumnsWritten) -> Self {
        match written {
            ColumnsWritten::None => Self::None,
            ColumnsWritten::Hive => Self::Hive,
            ColumnsWritten::HiveParts => Self::HiveParts,
            ColumnsWritten::All => Self::All,
        }
    }
}

/// The names of all of them.
pub(super) fn names() -> Vec<&'static str> {
    fields_of::<Written>().to_vec()
}

/// What stands at the root beside streams: it holds for each stream that does not say otherwise.
///
/// # Errors
/// Config, with the JSON path of what is wrong.
pub(super) fn at_root(dialect: Dialect, object: &Object, notes: &mut Notes) -> Result<Object> {
    let _: Written = part_of(object, "", notes)?;
    let names = names();
    let written = |key: &str, value: &Value| names.contains(&key) && !value.is_null();
    let root: Object =
        object.iter().filter(|(key, value)| written(key, value)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if !root.is_empty() {
        // What is wrong with it is named where it stands.
        let mut nobody = super::stream(dialect, String::new(), FormatOptions::Jsonl);
        apply(dialect, &mut nobody, &root, "", &mut Notes::default())?;
    }
    for key in ["partition_types", "partition_filter"] {
        if let Some(value) = root.get(key) {
            notes.accepted(key, value);
        }
    }
    Ok(root)
}

/// What a stream says, and what the root says where the stream says nothing. The folders are one thing, which
/// `partition_keys` and `partition_template` both tell.
pub(super) fn with_root(own: &Object, root: &Object) -> Object {
    const FOLDERS: [&str; 2] = ["partition_keys", "partition_template"];
    let says = |key: &str| own.get(key).is_some_and(|value| !value.is_null());
    let folders = FOLDERS.into_iter().any(says);
    let mut all = own.clone();
    let missing = root.iter().filter(|(key, _)| !(says(key) || folders && FOLDERS.contains(&key.as_str())));
    all.extend(missing.map(|(key, value)| (key.clone(), value.clone())));
    all
}

/// Reads them and puts them into a stream.
///
/// # Errors
/// Config, with the JSON path of what is wrong.
pub(super) fn apply(
    dialect: Dialect,
    stream: &mut Stream,
    object: &Object,
    path: &str,
    notes: &mut Notes,
) -> Result<()> {
    let written: Written = part_of(object, path, notes)?;
    let mut partitions = Partitions {
        keys: keys(written.partition_keys.unwrap_or_default(), &join(path, "partition_keys"))?,
        template: template(written.partition_template.as_deref(), &join(path, "partition_template"))?,
        types: types(written.partition_types.unwrap_or_default(), &join(path, "partition_types"))?,
        filter: None,
        lookback_seconds: span(written.partition_lookback.as_deref(), &join(path, "partition_lookback"))?,
        columns: PartitionColumns::None,
    };
    known_keys(&partitions, path)?;
    let margin = span(written.inventory_margin.as_deref(), &join(path, "inventory_margin"))?;
    stream.inventory = inventory(written.inventory.as_deref(), margin, written.on_inventory_gap, path)?;
    if let Some(filter) = written.partition_filter.filter(|filter| !filter.is_empty()) {
        partitions.filter = Some(self::filter(filter, &partitions, &join(path, "partition_filter"))?);
    }
    for key in ["partition_types", "partition_filter"] {
        if let Some(value) = object.get(key) {
            notes.accepted(&join(path, key), value);
        }
    }
    let default = defaults::partition_columns(dialect, &stream.format, &partitions);
    partitions.columns = match written.partition_columns {
        Some(columns) => columns.into(),
        None => {
            notes.defaulted(join(path, "partition_columns"), &default.name().into());
            default
        }
    };
    stream.partitions = partitions;
    Ok(())
}

fn keys(keys: Vec<String>, path: &str) -> Result<Vec<String>> {
    for (index, key) in keys.iter().enumerate() {
        if key.is_empty() {
            return Err(wrong(&join(path, &format!("[{index}]")), "empty", "the name of a partition"));
        }
        if keys[..index].contains(key) {
            return Err(wrong(&join(path, &format!("[{index}]")), format!("'{key}'"), "a name that is not in it yet"));
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

fn inventory(
    location: Option<&str>,
    margin_seconds: Option<i64>,
    on_gap: Option<OnGapWritten>,
    path: &str,
) -> Result<Option<InventorySource>> {
    let Some(text) = location.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let source = InventorySource::at(text).ok_or_else(|| {
        let expected = "a manifest or a folder, such as 's3://bucket/inventories/my-bucket/daily/'";
        wrong(&join(path, "inventory"), format!("'{text}'"), expected)
    })?;
    Ok(Some(InventorySource {
        margin_seconds: margin_seconds.unwrap_or(source.margin_seconds),
        on_gap: match on_gap {
            Some(OnGapWritten::Warn) => OnGap::Warn,
            Some(OnGapWritten::Fail) | None => OnGap::Fail,
        },
        ..source
    }))
}

fn span(text: Option<&str>, path: &str) -> Result<Option<i64>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let seconds = span_seconds(text);
    seconds.map(Some).ok_or_else(|| wrong(path, format!("'{text}'"), "a span of time such as '3d', '12h' or '2w'"))
}

/// Two lists of partitions must be the same one.
fn known_keys(partitions: &Partitions, path: &str) -> Result<()> {
    let Some(template) = &partitions.template else { return Ok(()) };
    let keys = &partitions.keys;
    if !keys.is_empty() && !template.fields().eq(keys.iter().map(String::as_str)) {
        let message = format!(
            "`{}` names other partitions than `{}`",
            join(path, "partition_keys"),
            join(path, "partition_template")
        );
        return Err(Error::config(message).hint("leave `partition_keys` out: the template names them"));
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
        Operand::Null | Operand::Boolean(_) => Err(wrong(path, value, "a value that others can be before or behind")),
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
        _ => Err(Error::config(format!("`{path}` is no test of a partition")).hint(format!("use {}", one_of(TESTS)))),
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
    let expected = "a text, a number, a boolean, null or a time such as 'now-1d'";
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
mod tests_of_reading {
    use super::*;
    use tollgate_base::options::FormatOptions;

    fn read(parameters: Value) -> Result<Partitions> {
        let mut stream = super::super::stream(Dialect::Flat, "s".to_owned(), FormatOptions::Jsonl);
        apply(Dialect::Flat, &mut stream, parameters.as_object().unwrap(), "", &mut Notes::default())?;
        Ok(stream.partitions)
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
            (json!({"partition_filter": {"date": {"after": "2024"}}}), "`partition_filter.date.after` is no test"),
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
            (json!({"partition_template": "{a}", "partition_keys": ["b"]}), "names other partitions"),
            (json!({"partition_lookback": "soon"}), "`partition_lookback` is 'soon'"),
            (json!({"partition_columns": "some"}), "`partition_columns`"),
            (json!({"inventory": "bucket/daily"}), "`inventory` is 'bucket/daily'"),
            (json!({"inventory": "s3://b/daily/", "inventory_margin": "soon"}), "`inventory_margin` is 'soon'"),
            (json!({"inventory": "s3://b/daily/", "on_inventory_gap": "skip"}), "`on_inventory_gap`"),
        ] {
            let error = read(parameters.clone()).expect_err(&parameters.to_string());
            assert!(error.message().contains(part), "{parameters}: {}", error.message());
        }
    }
}
