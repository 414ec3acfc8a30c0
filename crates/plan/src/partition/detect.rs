//! Detects layouts from a sample of the folders.

use std::collections::BTreeMap;

use super::filter::DatePart;
use super::layout::{Layout, LayoutLevel, field, fields, hidden, hive_value};
use tollgate_base::error::{Error, Result};
use tollgate_base::options::partition::{Part, Partitions, Period, PeriodUnit};

/// A folder of the sample.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampled {
    /// The folder, or the requested prefix.
    pub prefix: String,
    /// The folders in it, as whole prefixes.
    pub folders: Vec<String>,
    /// The objects next to them.
    pub objects: u64,
    /// Whether these are all folders and objects in it.
    pub whole: bool,
}

impl Sampled {
    /// Some of its folders, evenly spread: the first, the last and some between.
    #[must_use]
    pub fn branches(&self, count: usize) -> Vec<&str> {
        let seen: Vec<&str> =
            self.folders.iter().map(String::as_str).filter(|folder| !hidden(name_of(folder))).collect();
        let mut places: Vec<usize> = match count {
            0 => Vec::new(),
            1 => vec![seen.len() / 2],
            _ => (0..count).map(|branch| branch * seen.len().saturating_sub(1) / (count - 1)).collect(),
        };
        places.dedup();
        places.into_iter().filter_map(|place| seen.get(place).copied()).collect()
    }
}

/// The format of the folder names at one depth.
#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// `name=value`
    Hive,
    /// A day, with or without an hour.
    Date,
    /// A part of a date, after the longer parts.
    Part(DatePart),
    /// Anything else.
    Plain,
}

/// The names at each depth below the base.
struct Depths {
    names: Vec<Vec<String>>,
    forms: Vec<Form>,
    /// The names of `name=value` folders, in the order of their depth.
    hive: Vec<String>,
}

/// Finds the partitions in the folders, using the configured names. `None` if there are no partitions.
///
/// # Errors
/// Config if configured partitions cannot be found.
pub fn detect(base: &str, sampled: &[Sampled], partitions: &Partitions) -> Result<Option<Layout>> {
    let depths = Depths::of(base, sampled);
    let layout = match partitions.keys.is_empty() {
        true => depths.found(base, partitions),
        false => Some(depths.given(base, partitions)?),
    };
    Ok(layout.map(|mut layout| {
        layout.learn(folders_of(sampled));
        layout
    }))
}

/// All folders of a sample.
pub fn folders_of(sampled: &[Sampled]) -> impl Iterator<Item = &str> {
    sampled.iter().flat_map(|folder| &folder.folders).map(String::as_str)
}

impl Depths {
    fn of(base: &str, sampled: &[Sampled]) -> Self {
        let mut by_depth: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for folder in sampled.iter().flat_map(|folder| &folder.folders) {
            let Some(below) = folder.strip_prefix(base).filter(|below| !below.is_empty()) else { continue };
            let name = name_of(folder);
            if !hidden(name) {
                by_depth.entry(below.matches('/').count().saturating_sub(1)).or_default().push(name.to_owned());
            }
        }
        let deepest = by_depth.keys().last().map_or(0, |depth| depth + 1);
        let names: Vec<Vec<String>> = (0..deepest).map(|depth| by_depth.remove(&depth).unwrap_or_default()).collect();
        let mut hive: Vec<String> = Vec::new();
        for name in names.iter().flatten().filter_map(|name| hive_value(name)).map(|(name, _)| name.into_owned()) {
            if !hive.contains(&name) {
                hive.push(name);
            }
        }
        let forms = forms(&names);
        Self { names, forms, hive }
    }

    /// The partitions that names and dates tell by themselves.
    fn found(&self, base: &str, partitions: &Partitions) -> Option<Layout> {
        let mut layout = Layout { base: base.to_owned(), named: !self.hive.is_empty(), ..Layout::default() };
        for (depth, (form, names)) in self.forms.iter().zip(&self.names).enumerate() {
            let name = match form {
                Form::Hive => {
                    let here = names.iter().filter_map(|name| hive_value(name)).map(|(name, _)| name);
                    let mut new: Vec<String> = Vec::new();
                    for name in here {
                        if !layout.has(&name) && !new.iter().any(|known| *known == *name) {
                            new.push(name.into_owned());
                        }
                    }
                    layout.fields.extend(fields(new.iter().map(String::as_str), partitions));
                    layout.levels.push(LayoutLevel::Any);
                    layout.depth = depth + 1;
                    continue;
                }
                Form::Date => "date",
                Form::Part(DatePart::Year) => "year",
                Form::Part(DatePart::Month) => "month",
                Form::Part(DatePart::Day) => "day",
                Form::Part(DatePart::Hour) => "hour",
                Form::Plain => {
                    layout.levels.push(LayoutLevel::Any);
                    continue;
                }
            };
            if layout.has(name) {
                layout.levels.push(LayoutLevel::Any);
                continue;
            }
            layout.fields.push(field(name, partitions));
            layout.levels.push(LayoutLevel::Parts(vec![Part::Field(name.to_owned())]));
            layout.depth = depth + 1;
        }
        // Levels that say nothing are not needed after the last one that does.
        let last = layout.levels.iter().rposition(|level| *level != LayoutLevel::Any).map_or(0, |last| last + 1);
        layout.levels.truncate(last);
        (!layout.fields.is_empty()).then_some(layout)
    }

    /// The partitions that were given: those with folders of their name, and the others by their place in order.
    fn given(&self, base: &str, partitions: &Partitions) -> Result<Layout> {
        let keys = &partitions.keys;
        let by_place: Vec<&String> = keys.iter().filter(|key| !self.hive.contains(key)).collect();
        let plain: Vec<usize> = (0..self.forms.len()).filter(|depth| self.forms[*depth] != Form::Hive).collect();
        if by_place.len() > plain.len() {
            return Err(self.not_found(base, &by_place));
        }
        // Where there are more folders than names, the place where names and what the folders look like agree best.
        let starts = 0..=plain.len() - by_place.len();
        let agrees = |start: &usize| {
            by_place.iter().zip(&plain[*start..]).filter(|(key, depth)| self.agrees(key, **depth)).count()
        };
        let start = starts.rev().max_by_key(agrees).unwrap_or(0);
        let mut levels = vec![LayoutLevel::Any; self.forms.len()];
        let mut depth = 0;
        for (key, place) in by_place.iter().zip(&plain[start..]) {
            levels[*place] = LayoutLevel::Parts(vec![Part::Field((*key).clone())]);
            depth = depth.max(place + 1);
        }
        for (place, names) in self.names.iter().enumerate() {
            if names.iter().filter_map(|name| hive_value(name)).any(|(name, _)| keys.iter().any(|key| *key == *name)) {
                depth = depth.max(place + 1);
            }
        }
        let last = levels.iter().rposition(|level| *level != LayoutLevel::Any).map_or(0, |last| last + 1);
        levels.truncate(last);
        Ok(Layout {
            base: base.to_owned(),
            levels,
            named: by_place.len() < keys.len(),
            fields: fields(keys.iter().map(String::as_str), partitions),
            given: false,
            depth,
        })
    }

    /// Whether the folders at a depth look like what a name says.
    fn agrees(&self, key: &str, depth: usize) -> bool {
        match (&self.forms[depth], DatePart::of_name(key)) {
            (Form::Part(form), Some(part)) => *form == part,
            (Form::Date, None) => key.to_ascii_lowercase().contains("date"),
            (Form::Plain, None) => true,
            _ => false,
        }
    }

    fn not_found(&self, base: &str, missing: &[&String]) -> Error {
        let missing: Vec<String> = missing.iter().map(|key| format!("'{key}'")).collect();
        let example = |names: &Vec<String>| names.first().cloned().unwrap_or_default();
        let folders: String = self.names.iter().map(|names| format!("{}/", example(names))).collect();
        Error::config(format!(
            "Partition error: `partition_keys` names {}, but there are no folders for it; an actual path is \
             '{base}{folders}'",
            missing.join(", ")
        ))
        .hint("name one partition for each folder below the prefix, or describe the folders in `partition_template`")
    }
}

/// The last folder of a prefix.
fn name_of(prefix: &str) -> &str {
    let whole = prefix.strip_suffix('/').unwrap_or(prefix);
    whole.rsplit('/').next().unwrap_or(whole)
}

fn forms(names: &[Vec<String>]) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::with_capacity(names.len());
    let mut dated = false;
    for names in names {
        let before = forms.last().cloned();
        let all = |fits: &dyn Fn(&str) -> bool| !names.is_empty() && names.iter().all(|name| fits(name));
        let hive = names.iter().filter(|name| hive_value(name).is_some()).count();
        let form = if hive * 2 > names.len() {
            dated |= all(&|name| hive_value(name).is_some_and(|(_, value)| value.is_some_and(|value| day(&value))));
            Form::Hive
        } else if all(&day) && !dated {
            dated = true;
            Form::Date
        } else if all(&|name| number(name, 4..=4, 1900..=2100)) {
            Form::Part(DatePart::Year)
        } else if before == Some(Form::Part(DatePart::Year)) && all(&|name| number(name, 1..=2, 1..=12)) {
            Form::Part(DatePart::Month)
        } else if before == Some(Form::Part(DatePart::Month)) && all(&|name| number(name, 1..=2, 1..=31)) {
            dated = true;
            Form::Part(DatePart::Day)
        } else if dated && all(&|name| number(name, 2..=2, 0..=23)) {
            Form::Part(DatePart::Hour)
        } else {
            Form::Plain
        };
        forms.push(form);
    }
    forms
}

fn day(text: &str) -> bool {
    Period::certain(text) && Period::parse(text).is_some_and(|period| period.unit >= PeriodUnit::Day)
}

fn number(text: &str, width: std::ops::RangeInclusive<usize>, range: std::ops::RangeInclusive<u32>) -> bool {
    width.contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse().is_ok_and(|number| range.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::super::layout::Known;
    use super::*;

    /// What a sample of these keys is that looks everywhere.
    fn sample(keys: &[&str]) -> Vec<Sampled> {
        let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for key in keys {
            for (at, _) in key.match_indices('/') {
                let parent = key[..at].rfind('/').map_or("", |end| &key[..=end]);
                let children = folders.entry(parent.to_owned()).or_default();
                if children.last().is_none_or(|last| *last != key[..=at]) {
                    children.push(key[..=at].to_owned());
                }
            }
        }
        folders.into_iter().map(|(prefix, folders)| Sampled { prefix, folders, objects: 1, whole: true }).collect()
    }

    fn with_keys(keys: &[&str]) -> Partitions {
        Partitions { keys: keys.iter().map(|key| (*key).to_owned()).collect(), ..Partitions::default() }
    }

    /// The values that the layout of the keys gives for the last of them.
    fn values(keys: &[&str], base: &str, partitions: &Partitions) -> String {
        let Some(layout) = detect(base, &sample(keys), partitions).unwrap() else { return "no layout".to_owned() };
        let values = layout.values(keys[keys.len() - 1]);
        let shown = layout.fields.iter().map(|field| match values.get(&field.name) {
            Known::Value(value) => format!("{}={}", field.name, value.as_deref().unwrap_or("null")),
            other => format!("{} {other:?}", field.name),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn layouts_are_found_by_what_folders_look_like() {
        for (keys, base, expected) in [
            (&["d/year=2024/month=01/a"][..], "d/", "year=2024 month=01"),
            (&["e/2024/01/15/a", "e/2024/02/31/b"], "e/", "year=2024 month=02 day=31"),
            (&["e/2024/01/15/07/a"], "e/", "year=2024 month=01 day=15 hour=07"),
            (&["2024-01-15/a", "2024-01-16/a"], "", "date=2024-01-16"),
            (&["x/20240115/03/a"], "x/", "date=20240115 hour=03"),
            (&["scada/date=2024-01-15/citect/a", "scada/date=2024-01-15/status/a"], "scada/", "date=2024-01-15"),
            (&["b/date=2024-01-15/TPU=01/reactor=02/a"], "b/", "date=2024-01-15 TPU=01 reactor=02"),
            (&["t/orders/2024/01/15/a", "t/users/2024/01/16/a"], "t/", "year=2024 month=01 day=16"),
            (&["e/date=2024-01-15/13/a"], "e/", "date=2024-01-15 hour=13"),
            (&["e/2024_01_15/a", "e/2024-1-6/a"], "e/", "date=2024-1-6"),
            (&["e/_temporary/0/a", "e/year=2024/a"], "e/", "year=2024"),
            (&["e/a", "e/b/c"], "e/", "no layout"),
            (&["e/1/2/3/c"], "e/", "no layout"),
            (&["a"], "", "no layout"),
        ] {
            assert_eq!(values(keys, base, &Partitions::default()), expected, "{keys:?}");
        }
    }

    #[test]
    fn given_partitions_are_found_by_name_or_by_place() {
        for (keys, given, expected) in [
            (&["d/year=2024/month=01/a"][..], &["year", "month"][..], "year=2024 month=01"),
            (&["d/2024/01/15/a"], &["year", "month", "day"], "year=2024 month=01 day=15"),
            (&["d/date=2024-01-15/citect/a"], &["date", "source"], "date=2024-01-15 source=citect"),
            (&["d/raw/2024/01/15/a"], &["year", "month", "day"], "year=2024 month=01 day=15"),
            (&["d/eu/x/a"], &["region", "kind"], "region=eu kind=x"),
            (&["d/eu/2024-01-15/a"], &["region", "date"], "region=eu date=2024-01-15"),
        ] {
            assert_eq!(values(keys, "d/", &with_keys(given)), expected, "{keys:?}");
        }
        let error = detect("d/", &sample(&["d/eu/a"]), &with_keys(&["region", "kind"])).unwrap_err();
        assert!(error.message().starts_with("Partition error: `partition_keys` names 'region', 'kind'"), "{error}");
    }

    #[test]
    fn branches_are_far_from_each_other() {
        let folders = (0..9).map(|n| format!("p/{n}/")).chain(["p/_tmp/".to_owned()]).collect();
        let sampled = Sampled { prefix: "p/".to_owned(), folders, objects: 0, whole: true };
        assert_eq!(sampled.branches(3), ["p/0/", "p/4/", "p/8/"]);
        assert_eq!(sampled.branches(1), ["p/4/"]);
        let one = Sampled { folders: vec!["p/a/".to_owned()], ..sampled };
        assert_eq!(one.branches(3), ["p/a/"]);
    }
}
