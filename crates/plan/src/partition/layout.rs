//! Where the values of partitions are in a key.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use tollgate_base::options::partition::{Part, PartitionType, Partitions, Period, Template};

/// What Hive and Spark write for null.
const HIVE_NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Where the values of partitions are in a key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    /// The folder that contains the `levels`: empty, or with a slash at its end.
    pub base: String,
    /// The folders below the base, by position. Empty if folders are matched only by name.
    pub levels: Vec<LayoutLevel>,
    /// Whether folders such as `name=value` are matched by name, at any position.
    pub named: bool,
    /// The partitions, in the order of the folders.
    pub fields: Vec<Field>,
    /// Whether the folders are configured, so that their names can be generated without listing.
    pub given: bool,
    /// The depth of folders below the base, under which there are no more partitions.
    pub depth: usize,
}

/// A folder of a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayoutLevel {
    /// Any name, without a value.
    Any,
    /// A name with values in it.
    Parts(Vec<Part>),
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type, if configured.
    pub kind: Option<PartitionType>,
    /// The format of its values.
    pub looks: Looks,
}

/// The format of a partition's values, detected from a sample. Names are not reliable: `dt`, `ds`, `day` and `snapshot`
/// are dates as often as `date` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Looks {
    /// No value was seen.
    #[default]
    Unknown,
    /// All are months, days or times.
    Dates,
    /// Some are.
    SomeDates,
    /// None is.
    Other,
}

impl Looks {
    fn and(self, date: bool) -> Self {
        match (self, date) {
            (Self::Unknown | Self::Dates, true) => Self::Dates,
            (Self::Unknown | Self::Other, false) => Self::Other,
            _ => Self::SomeDates,
        }
    }

    /// Whether values were seen that are dates.
    #[must_use]
    pub fn dated(self) -> bool {
        matches!(self, Self::Dates | Self::SomeDates)
    }
}

/// A value: `None` is null.
pub type PartitionValue<'k> = Option<Cow<'k, str>>;

/// What is known about a partition from a key or a prefix.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<'k> {
    /// The value.
    Value(PartitionValue<'k>),
    /// It is missing, regardless of what follows.
    Missing,
    /// It may follow after the prefix.
    Open,
}

/// The values of a key or of a prefix.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Values<'k> {
    found: Vec<(Cow<'k, str>, PartitionValue<'k>)>,
    /// Partitions whose folder has a name that does not fit.
    missing: Vec<String>,
}

impl Layout {
    /// The layout of a template below a folder.
    #[must_use]
    pub fn of_template(template: &Template, base: &str, partitions: &Partitions) -> Self {
        let level =
            |parts: &Vec<Part>| if parts.is_empty() { LayoutLevel::Any } else { LayoutLevel::Parts(parts.clone()) };
        Self {
            base: base.to_owned(),
            levels: template.levels().iter().map(level).collect(),
            named: false,
            fields: fields(template.fields(), partitions),
            given: true,
            depth: template.levels().len(),
        }
    }

    /// Whether there is a partition of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// Detects formats from the values in the folders of a sample.
    pub fn learn<'f>(&mut self, folders: impl Iterator<Item = &'f str>) {
        for folder in folders.filter(|folder| !self.of_another_tool(folder)).collect::<Vec<_>>() {
            // Only the last folder is new: those above it were seen by themselves.
            let above = folder.strip_suffix('/').and_then(|whole| whole.rfind('/')).map_or("", |at| &folder[..=at]);
            let (values, before) = (self.values(folder), self.values(above));
            for field in &mut self.fields {
                if let (Known::Value(Some(text)), Known::Open) = (values.get(&field.name), before.get(&field.name)) {
                    field.looks = field.looks.and(Period::certain(&text));
                }
            }
        }
    }

    /// The values in the complete folders of a key or a prefix. The text after the last slash is not a folder.
    #[must_use]
    pub fn values<'k>(&self, key: &'k str) -> Values<'k> {
        let mut values = Values::default();
        if self.named {
            values.found = hive_values(key, false).collect();
        }
        let Some(below) = key.strip_prefix(self.base.as_str()) else { return values };
        for (level, folder) in self.levels.iter().zip(folders(below)) {
            let LayoutLevel::Parts(parts) = level else { continue };
            match parts_of(parts, folder) {
                Some(found) => {
                    let found = found.into_iter().map(|(name, value)| (Cow::Owned(name.to_owned()), value));
                    values.found.extend(found);
                }
                None => values.missing.extend(parts.iter().filter_map(Part::field).map(str::to_owned)),
            }
        }
        values
    }

    /// Whether a key or a prefix is in a folder of another tool below the base. Objects there have no partition.
    #[must_use]
    pub fn of_another_tool(&self, key: &str) -> bool {
        key.strip_prefix(self.base.as_str()).is_some_and(|below| folders(below).any(hidden))
    }

    /// How many whole folders a prefix has below the base; `None` if the two part.
    #[must_use]
    pub fn folders_below(&self, prefix: &str) -> Option<usize> {
        let below = prefix.strip_prefix(self.base.as_str())?;
        Some(folders(below).count())
    }
}

impl<'k> Values<'k> {
    /// What is known about a partition.
    #[must_use]
    pub fn get(&self, name: &str) -> Known<'k> {
        // Of two folders with one name the first counts: it is known first when a tree is walked.
        match self.found.iter().find(|(found, _)| found == name) {
            Some((_, value)) => Known::Value(value.clone()),
            None if self.missing.iter().any(|missing| missing == name) => Known::Missing,
            None => Known::Open,
        }
    }
}

/// The partitions of a layout by their names.
pub(super) fn fields<'a>(names: impl Iterator<Item = &'a str>, partitions: &Partitions) -> Vec<Field> {
    names.map(|name| field(name, partitions)).collect()
}

/// The partition with a name.
pub(super) fn field(name: &str, partitions: &Partitions) -> Field {
    Field { name: name.to_owned(), kind: partitions.type_of(name), looks: Looks::Unknown }
}

/// The whole folders of a key.
fn folders(key: &str) -> impl Iterator<Item = &str> {
    let whole = key.rfind('/').map_or("", |at| &key[..at]);
    whole.split('/').filter(move |_| !whole.is_empty() || key.starts_with('/'))
}

/// The `name=value` folders of a key. With `last_part`, the text after the last slash is included.
pub fn hive_values(key: &str, last_part: bool) -> impl Iterator<Item = (Cow<'_, str>, PartitionValue<'_>)> {
    let end = if last_part { key.len() } else { key.rfind('/').unwrap_or(0) };
    key[..end].split('/').filter_map(hive_value)
}

/// Folders of other tools: `_temporary`, `_delta_log`, `.hoodie`.
pub(super) fn hidden(name: &str) -> bool {
    (name.starts_with('_') && !name.contains('=')) || name.starts_with('.')
}

/// `name=value` as a name and a value.
pub fn hive_value(part: &str) -> Option<(Cow<'_, str>, PartitionValue<'_>)> {
    let (name, value) = part.split_once('=')?;
    Some((decoded(name), value_of(value)))
}

fn value_of(text: &str) -> PartitionValue<'_> {
    Some(decoded(text)).filter(|text| text != HIVE_NULL)
}

/// Undoes percent-encoding; a text that is not UTF-8 then stays as it is.
fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

/// The values in a folder's name; `None` if it does not fit.
fn parts_of<'p, 'k>(parts: &'p [Part], folder: &'k str) -> Option<Vec<(&'p str, PartitionValue<'k>)>> {
    // A folder `{date}` may have its name before its value, as Hive writes it: `date=2024-01-15`.
    if let ([Part::Field(name)], Some((written, value))) = (parts, hive_value(folder))
        && written == *name
    {
        return Some(vec![(name.as_str(), value)]).filter(|_| !folder.ends_with('='));
    }
    let mut found = Vec::with_capacity(1);
    let mut rest = folder;
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(text) => rest = rest.strip_prefix(text.as_str())?,
            Part::Field(name) => {
                let end = match parts.get(index + 1) {
                    None => rest.len(),
                    // The last text ends the folder, so it is looked for there.
                    Some(Part::Literal(text)) if index + 2 == parts.len() => rest.strip_suffix(text.as_str())?.len(),
                    Some(Part::Literal(text)) => rest.find(text.as_str())?,
                    Some(Part::Field(_)) => return None,
                };
                let (value, after) = rest.split_at(end);
                if value.is_empty() {
                    return None;
                }
                found.push((name.as_str(), value_of(value)));
                rest = after;
            }
        }
    }
    rest.is_empty().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str, base: &str) -> Layout {
        Layout::of_template(&Template::parse(text).unwrap(), base, &Partitions::default())
    }

    fn value(layout: &Layout, key: &str, name: &str) -> String {
        match layout.values(key).get(name) {
            Known::Value(Some(text)) => text.into_owned(),
            Known::Value(None) => "null".to_owned(),
            Known::Missing => "missing".to_owned(),
            Known::Open => "open".to_owned(),
        }
    }

    #[test]
    fn folders_of_a_template_give_values_by_their_place() {
        let layout = template("date={date}/TPU={tpu}/*/r-{reactor}.x/", "raw/");
        let key = "raw/date=2024-01-15/TPU=01/anything/r-a%20b.x/file.csv";
        for (name, expected) in [("date", "2024-01-15"), ("tpu", "01"), ("reactor", "a b")] {
            assert_eq!(value(&layout, key, name), expected);
        }
        assert_eq!(value(&layout, "raw/date=2024-01-15/TPU=01", "tpu"), "open", "a name that has not ended yet");
        assert_eq!(value(&layout, "raw/other/TPU=01/x", "date"), "missing");
        assert_eq!(value(&layout, "raw/other/TPU=01/x", "tpu"), "01");
        assert_eq!(value(&layout, "raw/date=__HIVE_DEFAULT_PARTITION__/", "date"), "null");
        assert_eq!(value(&layout, "elsewhere/date=1/TPU=01/x", "tpu"), "open");
        assert_eq!(value(&layout, "raw/date=/x", "date"), "missing", "a folder without a value");
    }

    #[test]
    fn a_folder_of_a_template_may_have_its_name_before_its_value() {
        let layout = template("{date}/{tpu}/", "raw/");
        for (key, date, tpu) in [
            ("raw/2024-01-15/01/x", "2024-01-15", "01"),
            ("raw/date=2024-01-15/tpu=01/x", "2024-01-15", "01"),
            ("raw/date=2024-01-15/01/x", "2024-01-15", "01"),
            ("raw/other=2024-01-15/TPU=01/x", "other=2024-01-15", "TPU=01"),
            ("raw/date=/tpu=__HIVE_DEFAULT_PARTITION__/x", "missing", "null"),
        ] {
            assert_eq!((&*value(&layout, key, "date"), &*value(&layout, key, "tpu")), (date, tpu), "{key}");
        }
    }

    #[test]
    fn values_tell_whether_they_are_dates() {
        let mut layout = Layout { named: true, ..Layout::default() };
        let names = ["dt", "kind", "snapshot", "year", "unseen"];
        layout.fields = fields(names.into_iter(), &Partitions::default());
        let folders = [
            "kind=a/",
            "kind=a/dt=2024-01-15/",
            "kind=a/dt=20240116/",
            "kind=a/_tmp/dt=x/",
            "snapshot=latest/",
            "snapshot=2024-01-15/",
            "snapshot=__HIVE_DEFAULT_PARTITION__/",
            "year=2024/",
            "year=2024/dt=2024-01-17/",
        ];
        layout.learn(folders.into_iter());
        let looks: Vec<Looks> = layout.fields.iter().map(|field| field.looks).collect();
        assert_eq!(looks, [Looks::Dates, Looks::Other, Looks::SomeDates, Looks::Other, Looks::Unknown]);
    }

    #[test]
    fn several_values_stand_in_one_folder() {
        let layout = template("{year}-{month}-{day}", "");
        for (name, expected) in [("year", "2024"), ("month", "01"), ("day", "15")] {
            assert_eq!(value(&layout, "2024-01-15/x", name), expected);
        }
        assert_eq!(value(&layout, "2024-01/x", "year"), "missing");
    }

    #[test]
    fn hive_folders_give_values_wherever_they_stand() {
        let layout = Layout { named: true, ..Layout::default() };
        let key = "a/year=2024/b/month=01/city=S%C3%A3o%20Paulo/n=__HIVE_DEFAULT_PARTITION__/e=a=b/part=9.csv";
        for (name, expected) in
            [("year", "2024"), ("month", "01"), ("city", "São Paulo"), ("n", "null"), ("e", "a=b"), ("part", "open")]
        {
            assert_eq!(value(&layout, key, name), expected, "{name}");
        }
        assert_eq!(hive_values(key, true).last().unwrap().1.as_deref(), Some("9.csv"));
        assert_eq!(value(&layout, "year=1/year=2/x", "year"), "1");
    }

    #[test]
    fn folders_are_counted_below_the_base() {
        let layout = template("{a}/{b}", "x/");
        assert_eq!(layout.folders_below("x/"), Some(0));
        assert_eq!(layout.folders_below("x/1/2/par"), Some(2));
        assert_eq!(layout.folders_below("y/1/"), None);
    }
}
