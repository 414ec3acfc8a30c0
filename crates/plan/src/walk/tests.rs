//! A pruned listing is the filtered whole listing: random trees, filters and page sizes against a plain model.

use serde_json::{Value, json};

use super::*;
use crate::partition::detect::detect;
use crate::partition::layout::Layout;
use tollgate_base::object::{StorageClass, Timestamp};
use tollgate_base::options::partition::Partitions;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

fn object(key: &str) -> ObjectFacts {
    ObjectFacts {
        key: key.into(),
        size: 1,
        modified_at: Timestamp::default(),
        etag: "".into(),
        storage_class: StorageClass::Standard,
    }
}

/// What S3 says: names in order, rolled up at the delimiter, some per page.
struct Bucket {
    keys: Vec<String>,
    page_keys: usize,
    requests: usize,
}

struct Page {
    objects: Vec<ObjectFacts>,
    prefixes: Vec<String>,
    next: Option<String>,
}

impl Bucket {
    fn list(&mut self, prefix: &str, folders: bool, after: Option<&str>, continuation: Option<&str>) -> Page {
        self.requests += 1;
        let mut names: Vec<(String, bool)> = Vec::new();
        let bound = continuation.or(after).unwrap_or_default();
        let mut at = self.keys.partition_point(|key| key.as_str() < prefix.max(bound));
        let mut more = false;
        while let Some(key) = self.keys.get(at).filter(|key| key.starts_with(prefix)) {
            let rolled = key[prefix.len()..].find('/').filter(|_| folders).map(|end| &key[..prefix.len() + end + 1]);
            let name = rolled.unwrap_or(key);
            at = match rolled {
                Some(folder) => self.keys.partition_point(|key| *key < end_of(folder)),
                None => at + 1,
            };
            // A folder that begins before the bound and goes on after it is left out here: AWS was not asked.
            if name > bound {
                more = names.len() == self.page_keys;
                if more {
                    break;
                }
                names.push((name.to_owned(), rolled.is_some()));
            }
        }
        let next = names.last().map(|(name, _)| name.clone()).filter(|_| more);
        let (prefixes, objects): (Vec<_>, Vec<_>) = names.into_iter().partition(|(_, folder)| *folder);
        Page {
            objects: objects.iter().map(|(key, _)| object(key)).collect(),
            prefixes: prefixes.into_iter().map(|(prefix, _)| prefix).collect(),
            next,
        }
    }

    /// The keys of a walk, in the order in which they come.
    fn walked(&mut self, walk: &mut Walk, prefixes: &[String]) -> Vec<String> {
        let mut queue: std::collections::VecDeque<Node> = walk.start(prefixes).into();
        let mut keys = Vec::new();
        while let Some(node) = queue.pop_front() {
            let (objects, nodes) = match node {
                Node::Objects(objects) => (objects, Vec::new()),
                Node::Flat(listing) => {
                    let after = walk.start_after(&listing.prefix, listing.after.as_deref());
                    let page = self.list(&listing.prefix, false, after.as_deref(), listing.continuation.as_deref());
                    walk.flat_page(listing, page.objects, page.next).unwrap()
                }
                Node::Folder(folder) => {
                    let (after, next) = (folder.after.as_deref(), folder.continuation.as_deref());
                    let page = self.list(&folder.prefix, true, after, next);
                    (Vec::new(), walk.folder_page(folder, page.objects, page.prefixes, page.next).unwrap())
                }
            };
            keys.extend(objects.into_iter().map(|object| object.key.to_string()));
            for node in nodes.into_iter().rev() {
                queue.push_front(node);
            }
        }
        keys
    }

    fn sampled(&mut self, prefix: &str, out: &mut Vec<Sampled>) {
        let page = self.list(prefix, true, None, None);
        let whole = page.next.is_none();
        let sampled =
            Sampled { prefix: prefix.to_owned(), folders: page.prefixes, objects: page.objects.len() as u64, whole };
        let branches: Vec<String> = sampled.branches(3).into_iter().map(str::to_owned).collect();
        out.push(sampled);
        for branch in branches {
            self.sampled(&branch, out);
        }
    }
}

/// A way to name folders: what stands before each value, and the values.
fn style(random: &mut Random) -> (Vec<(&'static str, Vec<&'static str>)>, Option<&'static str>) {
    let years = vec!["2023", "2024", "2025", "__HIVE_DEFAULT_PARTITION__", "20x4"];
    let months = vec!["01", "02", "3", "03", "12", "13"];
    let days = vec!["01", "2", "15", "29", "31"];
    let dates =
        vec!["2023-12-31", "2024-01-01", "2024-01-02", "20240102", "2024-02-29", "2024-01-02-07", "2025-01-01", "x"];
    let tpus = vec!["01", "02", "a%20b", "", "x"];
    match random.below(6) {
        0 => (vec![("year=", years), ("month=", months), ("day=", days)], None),
        1 => (vec![("", years), ("", months), ("", days)], None),
        2 => (vec![("date=", dates), ("TPU=", tpus)], None),
        3 => (vec![("", years), ("", months)], Some("{year}/{month}/")),
        4 => (vec![("date=", dates), ("TPU=", tpus)], Some("date={date}/TPU={tpu}")),
        _ => (vec![("", dates), ("r-", tpus)], Some("{date}/r-{tpu}")),
    }
}

fn keys(random: &mut Random, base: &str, style: &[(&str, Vec<&str>)]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for _ in 0..1 + random.below(90) {
        let mut key = base.to_owned();
        let depth = if random.below(8) == 0 { random.below(style.len() + 1) } else { style.len() };
        for (before, values) in &style[..depth] {
            key.push_str(&match random.below(25) {
                0 => "other/".to_owned(),
                1 => "_temporary/".to_owned(),
                _ => format!("{before}{}/", random.one(values)),
            });
        }
        let deeper = if random.below(6) == 0 { "deep/er/" } else { "" };
        keys.push(format!("{key}{deeper}{}{}", random.one(&["a", "b", "-", "part"]), random.below(30)));
    }
    if random.below(3) == 0 {
        keys.push(format!("{base}zz"));
        keys.push(format!("{base}2"));
    }
    keys.sort();
    keys.dedup();
    keys
}

fn filter(random: &mut Random) -> Value {
    let date = |random: &mut Random| {
        random.one(&[
            "2024-01-01",
            "2024-01-02",
            "2023-12-31",
            "2024-02-29",
            "2024-02",
            "now",
            "now-1d",
            "2024-01-02T05:00:00",
        ])
    };
    let mut filter = json!({});
    for _ in 0..1 + random.below(2) {
        match random.below(8) {
            0 => filter["year"] = json!(random.one(&["2024", "2023"])),
            1 => {
                filter["month"] =
                    random.one(&[json!(["01", "02"]), json!(3), json!({"gte": "02"}), json!({"ne": "03"})])
            }
            2 => filter["year"] = json!({"gte": random.one(&["2023", "2024"])}),
            3 => filter["TPU"] = random.one(&[json!("01"), json!(["a b", "01"]), json!({"gt": 1})]),
            4 => filter["tpu"] = random.one(&[json!("02"), json!({"not_in": ["x"]})]),
            5 => filter["date"] = json!({"gte": date(random)}),
            6 => filter["date"] = json!({"gt": date(random), "lt": date(random)}),
            _ => {
                let date = date(random);
                filter["date"] = random.one(&[json!(date), json!({"lte": date}), json!({"ne": date})]);
            }
        }
    }
    filter
}

fn partitions(filter: &Value, template: Option<&str>) -> Partitions {
    let mut config = json!({"bucket": "b", "partition_filter": filter});
    if let Some(template) = template {
        config["partition_template"] = template.into();
    }
    tollgate_config::parse(config.to_string().as_bytes()).unwrap().streams.remove(0).partitions
}

#[test]
fn a_pruned_listing_is_the_filtered_whole_listing_in_its_order() {
    let now = Timestamp::parse("2024-01-03T08:00:00Z").unwrap();
    let mut random = Random(0x5eed_0017);
    let (mut compared, mut pruned, mut saved) = (0, 0, 0);
    for round in 0..6000 {
        let base = random.one(&["", "t/", "t/x/"]);
        let (style, template) = style(&mut random);
        let keys = keys(&mut random, base, &style);
        let written = filter(&mut random);
        let partitions = partitions(&written, template);
        let page_keys = random.one(&[1, 2, 3, 7, 1000]);
        let mut bucket = Bucket { keys, page_keys, requests: 0 };
        let mut sampled = Vec::new();
        let layout = match &partitions.template {
            Some(template) => Layout::of_template(template, base, &partitions),
            None => {
                bucket.sampled(base, &mut sampled);
                match detect(base, &sampled, &partitions).unwrap() {
                    Some(layout) => layout,
                    None => continue,
                }
            }
        };
        let Ok(mut filter) = BoundFilter::bind(partitions.filter.as_ref().unwrap(), &layout, now) else { continue };
        if random.below(4) == 0 {
            filter.since(&layout, Timestamp::parse("2024-01-02").unwrap(), "for the test");
        }
        let after = (random.below(4) == 0).then(|| bucket.keys[random.below(bucket.keys.len())].clone());
        let prefixes = [format!("{base}{}", random.one(&["", "", "", "2", "date=2", "y"]))];
        let wanted = |key: &String| {
            key.starts_with(&prefixes[0])
                && after.as_ref().is_none_or(|after| key > after)
                && matches!(filter.of_key(&layout.values(key)), PartitionVerdict::Wanted | PartitionVerdict::Open)
        };
        let expected: Vec<String> = bucket.keys.iter().filter(|key| wanted(key)).cloned().collect();
        let options = WalkOptions {
            thorough: random.below(4) == 0,
            divides: random.below(3) > 0,
            page_keys: u32::try_from(page_keys).unwrap(),
        };
        let seen = if random.below(2) == 0 { &sampled[..] } else { &[] };
        let mut walk = Walk::new(layout.clone(), filter.clone(), after.as_deref(), seen, options);
        bucket.requests = 0;
        let mut walked = bucket.walked(&mut walk, &prefixes);
        assert!(walked.is_sorted_by(|left, right| left < right), "round {round}: {walked:#?}");
        walked.retain(wanted);
        assert_eq!(
            walked, expected,
            "round {round}: {written} {template:?} below '{}' by {layout:?}, {options:?} after {after:?}\n{:#?}\n{:#?}",
            prefixes[0], bucket.keys, walk.report
        );
        compared += 1;
        pruned += usize::from(walk.report.skipped_count > 0);
        saved += usize::from(bucket.requests < bucket.keys.len().div_ceil(page_keys));
    }
    assert!(
        compared > 2000 && pruned > 800 && saved > 300,
        "{compared} compared, {pruned} pruned, {saved} with fewer requests"
    );
}

#[test]
fn an_inventory_and_the_walk_beside_it_are_the_whole_listing() {
    let now = Timestamp::parse("2024-01-03T08:00:00Z").unwrap();
    let mut random = Random(0x5eed_0019);
    let (mut compared, mut told, mut found) = (0, 0, 0);
    for round in 0..4000 {
        let (style, template) = style(&mut random);
        let mut bucket = Bucket { keys: keys(&mut random, "t/", &style), page_keys: 1 + random.below(4), requests: 0 };
        let written = if random.below(2) == 0 { json!({}) } else { filter(&mut random) };
        let partitions = partitions(&written, template);
        let mut sampled = Vec::new();
        bucket.sampled("t/", &mut sampled);
        let layout = match &partitions.template {
            Some(template) => Some(Layout::of_template(template, "t/", &partitions)),
            None => detect("t/", &sampled, &partitions).unwrap(),
        };
        let Some(layout) = layout else { continue };
        let base = partitions.filter.as_ref().map(|filter| BoundFilter::bind(filter, &layout, now));
        let Ok(base) = base.unwrap_or_else(|| Ok(BoundFilter::default())) else { continue };
        let mut filter = base.clone();
        let from = Timestamp::parse(random.one(&["2024-01-02", "2024-02-01", "2023-06-01"])).unwrap();
        let Some(older) = filter.since(&layout, from, "for the test") else { continue };
        // Either it has all that is older, or nothing: then the walk finds what is older by itself.
        let whole = !base.empty() || random.below(2) == 0;
        let mut inventory = Inventory::default();
        for key in bucket.keys.iter().filter(|_| whole) {
            if filter.of_key(&layout.values(key)) == PartitionVerdict::Unwanted(older) {
                inventory.push(object(key));
            }
        }
        inventory.settle();
        let inventory = Arc::new(inventory);
        let options = WalkOptions { page_keys: u32::try_from(bucket.page_keys).unwrap(), ..WalkOptions::default() };
        let walk = Walk::new(layout.clone(), filter.clone(), None, &sampled, options);
        let mut walked = bucket.walked(&mut walk.with_inventory(older, Arc::clone(&inventory)), &["t/".to_owned()]);
        walked.retain(|key| {
            let verdict = filter.of_key(&layout.values(key));
            verdict == PartitionVerdict::Wanted || verdict == PartitionVerdict::Unwanted(older)
        });
        let listed = walked.len();
        walked.extend(inventory.in_order().map(|object| object.key.to_string()));
        walked.sort();
        walked.dedup();
        // What the filter cannot decide is told too, so that somebody hears of it.
        let undecided = |key: &&String| {
            let values = layout.values(key);
            base.undecided(&values).is_some() && filter.of_key(&values) == PartitionVerdict::Unwanted(older)
        };
        let lost = bucket.keys.iter().filter(undecided).find(|key| whole && !walked.contains(key));
        assert_eq!(lost, None, "round {round}: {written} {template:?} from {from}");
        let wanted = |key: &&String| base.of_key(&layout.values(key)) == PartitionVerdict::Wanted;
        let expected: Vec<String> = bucket.keys.iter().filter(wanted).cloned().collect();
        walked.retain(|key| wanted(&key));
        assert_eq!(walked, expected, "round {round}: {written} {template:?} from {from}, whole {whole}");
        compared += 1;
        told += usize::from(listed < expected.len());
        found += usize::from(!whole && !expected.is_empty());
    }
    assert!(compared > 1000 && told > 300 && found > 200, "{compared} compared, {told} told, {found} found");
}

#[test]
fn a_walk_without_a_filter_lists_every_key_once_and_in_order() {
    let mut random = Random(0x5eed_0018);
    for round in 0..500 {
        let (style, _) = style(&mut random);
        let keys = keys(&mut random, "t/", &style);
        let after = (random.below(3) == 0).then(|| keys[random.below(keys.len())].clone());
        let expected: Vec<String> =
            keys.iter().filter(|key| after.as_ref().is_none_or(|after| *key > after)).cloned().collect();
        let page_keys = 1 + random.below(3);
        let options = WalkOptions { page_keys: u32::try_from(page_keys).unwrap(), ..WalkOptions::default() };
        let mut bucket = Bucket { keys, page_keys, requests: 0 };
        let mut walk = Walk::new(Layout::default(), BoundFilter::default(), after.as_deref(), &[], options);
        assert_eq!(bucket.walked(&mut walk, &["t/".to_owned()]), expected, "round {round}");
    }
}

/// Three years of twelve months of thirty days of 2,000 files.
fn hive_tree() -> Vec<String> {
    let mut keys = Vec::new();
    for day in 0..3 * 12 * 30 {
        let (year, month, day) = (2022 + day / 360, 1 + day / 30 % 12, 1 + day % 30);
        keys.extend((0..2000).map(|file| format!("lake/year={year}/month={month:02}/day={day:02}/part-{file:05}.csv")));
    }
    keys
}

#[test]
fn one_month_of_three_years_costs_its_pages_and_one_more_when_the_layout_is_given() {
    let mut bucket = Bucket { keys: hive_tree(), page_keys: 1000, requests: 0 };
    let full = bucket.keys.len() / 1000;
    for (filter, template, at_most) in [
        (json!({"year": "2023", "month": "03"}), Some("year={year}/month={month}/day={day}"), 60),
        (json!({"date": {"gte": "2023-03-01", "lt": "2023-04-01"}}), Some("year={year}/month={month}/day={day}"), 61),
        (json!({"date": {"gte": "2023-03-01", "lt": "2023-04-01"}}), None, full / 20),
        (json!({"year": "2023", "month": "03"}), None, full / 20),
    ] {
        bucket.requests = 0;
        let partitions = partitions(&filter, template);
        let mut sampled = Vec::new();
        let layout = match &partitions.template {
            Some(template) => Layout::of_template(template, "lake/", &partitions),
            None => {
                bucket.sampled("lake/", &mut sampled);
                detect("lake/", &sampled, &partitions).unwrap().unwrap()
            }
        };
        let bound = BoundFilter::bind(partitions.filter.as_ref().unwrap(), &layout, Timestamp::default()).unwrap();
        let mut walk = Walk::new(layout, bound, None, &sampled, WalkOptions::default());
        let walked = bucket.walked(&mut walk, &["lake/".to_owned()]);
        assert_eq!(walked.len(), 60_000, "{filter}");
        assert!(walked.iter().all(|key| key.starts_with("lake/year=2023/month=03/")));
        assert!(bucket.requests <= at_most, "{filter} {template:?}: {} of {full} requests", bucket.requests);
    }
}

/// What a partition's value stands for: the time from one minute to before another, null, or nothing that is a date.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Means {
    Time(&'static str, &'static str),
    Null,
    Nothing,
}

/// What a filter makes of a partition.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Read,
    Left,
    /// The key does not fit the partitions.
    Odd,
}

const SPELLINGS: &[(&str, Means)] = &[
    ("2024-01-15", Means::Time("2024-01-15T00:00", "2024-01-16T00:00")),
    ("20240115", Means::Time("2024-01-15T00:00", "2024-01-16T00:00")),
    ("2024_01_15", Means::Time("2024-01-15T00:00", "2024-01-16T00:00")),
    ("2024.1.15", Means::Time("2024-01-15T00:00", "2024-01-16T00:00")),
    ("2024%2F01%2F15", Means::Time("2024-01-15T00:00", "2024-01-16T00:00")),
    ("2024-1-5", Means::Time("2024-01-05T00:00", "2024-01-06T00:00")),
    ("2024_01_06", Means::Time("2024-01-06T00:00", "2024-01-07T00:00")),
    ("2024-01-15-07", Means::Time("2024-01-15T07:00", "2024-01-15T08:00")),
    ("2024-01-15T23", Means::Time("2024-01-15T23:00", "2024-01-16T00:00")),
    ("2024-01-15 10:30", Means::Time("2024-01-15T10:30", "2024-01-15T10:31")),
    ("2024-01-16 10%3A00", Means::Time("2024-01-16T10:00", "2024-01-16T10:01")),
    ("2024-01", Means::Time("2024-01-01T00:00", "2024-02-01T00:00")),
    ("2024-02", Means::Time("2024-02-01T00:00", "2024-03-01T00:00")),
    ("202312", Means::Time("2023-12-01T00:00", "2024-01-01T00:00")),
    ("2024", Means::Time("2024-01-01T00:00", "2025-01-01T00:00")),
    ("2023", Means::Time("2023-01-01T00:00", "2024-01-01T00:00")),
    ("2023-12-31", Means::Time("2023-12-31T00:00", "2024-01-01T00:00")),
    ("2025-01-01T00:30+01:00", Means::Time("2024-12-31T23:30", "2024-12-31T23:31")),
    ("2025-06-01", Means::Time("2025-06-01T00:00", "2025-06-02T00:00")),
    ("__HIVE_DEFAULT_PARTITION__", Means::Null),
    ("latest", Means::Nothing),
    ("15-01-2024", Means::Nothing),
    ("20x4", Means::Nothing),
    ("2024-13-01", Means::Nothing),
];

/// Literals of filters, with what they stand for.
const LITERALS: &[(&str, &str, &str)] = &[
    ("\"2024-01-15\"", "2024-01-15T00:00", "2024-01-16T00:00"),
    ("\"2024-1-15\"", "2024-01-15T00:00", "2024-01-16T00:00"),
    ("\"2024/01/15\"", "2024-01-15T00:00", "2024-01-16T00:00"),
    ("\"2024_01_15\"", "2024-01-15T00:00", "2024-01-16T00:00"),
    ("\"20240115\"", "2024-01-15T00:00", "2024-01-16T00:00"),
    ("20240115", "2024-01-15T00:00", "2024-01-16T00:00"),
    ("\"2024-01-15T10:00\"", "2024-01-15T10:00", "2024-01-15T10:01"),
    ("\"2024-01\"", "2024-01-01T00:00", "2024-02-01T00:00"),
    ("\"2024\"", "2024-01-01T00:00", "2025-01-01T00:00"),
    ("\"now-1d\"", "2024-01-15T00:00", "2024-01-16T00:00"),
];

/// What a test of one literal makes of a value, by hand.
fn by_hand(test: &str, (from, until): (&str, &str), value: Means) -> Expected {
    let read = match value {
        Means::Nothing => return Expected::Odd,
        Means::Null => matches!(test, "with_null" | "ne"),
        Means::Time(first, end) => match test {
            "eq" | "in" | "with_null" => first < until && from < end,
            "ne" => !(from <= first && end <= until),
            "gte" => end > from,
            "gt" => end > until,
            "lte" => first < until,
            "lt" => first < from,
            _ => panic!("{test}"),
        },
    };
    if read { Expected::Read } else { Expected::Left }
}

fn written(test: &str, literal: &str) -> Value {
    let literal: Value = serde_json::from_str(literal).unwrap();
    match test {
        "eq" => literal,
        "in" => json!({"in": [literal, literal]}),
        "with_null" => json!([literal, null]),
        test => json!({test: literal}),
    }
}

/// Every filter with every spelling in every layout, against what each key stands for: a value that the filter wants is
/// read, however it is spelled and wherever it sorts; one that nobody can understand is never a quiet no.
#[test]
fn partition_filters_understand_every_usual_spelling_in_every_layout() {
    let now = Timestamp::parse("2024-01-16T08:00:00Z").unwrap();
    let typed = |name: &str| json!({"partition_types": {name: "date"}});
    let layouts = [
        ("date", "{date}/", "", json!({"partition_template": "{date}/"})),
        ("date", "date={date}/", "", json!({"partition_template": "{date}/"})),
        ("date", "date={date}/", "", json!({"partition_template": "date={date}/"})),
        ("event_date", "x-{date}-y/", "", json!({"partition_template": "x-{event_date}-y"})),
        ("date", "{date}/tpu=1/", "", json!({"partition_template": "{date}/tpu={tpu}/"})),
        ("date", "eu/{date}/", "", json!({"partition_template": "*/{date}"})),
        ("date", "{date}/", "", json!({"partition_keys": ["date"]})),
        ("kind", "kind={date}/", "t/", typed("kind")),
        ("date", "date={date}/", "t/", json!({})),
        ("dt", "dt={date}/", "t/", json!({})),
        ("ds", "r=eu/ds={date}/", "t/", json!({})),
        ("day", "day={date}/", "", json!({})),
        ("event_date", "event_date={date}/hour=01/", "", json!({})),
        ("snapshot", "snapshot={date}/", "", json!({})),
    ];
    let mut read = 0;
    for (name, shape, base, parameters) in &layouts {
        let key = |text: &str| format!("{base}{}a.csv", shape.replace("{date}", text));
        let mut keys: Vec<String> = SPELLINGS.iter().map(|(text, _)| key(text)).collect();
        keys.sort();
        for test in ["eq", "in", "with_null", "ne", "gte", "gt", "lte", "lt"] {
            for (literal, from, until) in LITERALS {
                let mut config = parameters.clone();
                config["bucket"] = "b".into();
                config["partition_filter"] = json!({*name: written(test, literal)});
                let parsed = tollgate_config::parse(config.to_string().as_bytes());
                let parsed = parsed.unwrap_or_else(|error| panic!("{config}: {error}"));
                let partitions = &parsed.streams[0].partitions;
                for page_keys in [1000, 4, 1] {
                    let mut bucket = Bucket { keys: keys.clone(), page_keys, requests: 0 };
                    let mut sampled = Vec::new();
                    let layout = match &partitions.template {
                        Some(template) => Layout::of_template(template, base, partitions),
                        None => {
                            let mut whole = Bucket { keys: keys.clone(), page_keys: 1000, requests: 0 };
                            whole.sampled(base, &mut sampled);
                            detect(base, &sampled, partitions).unwrap().unwrap()
                        }
                    };
                    let filter = BoundFilter::bind(partitions.filter.as_ref().unwrap(), &layout, now)
                        .unwrap_or_else(|error| panic!("{config}: {error}"));
                    let mut walk = Walk::new(layout.clone(), filter.clone(), None, &sampled, WalkOptions::default());
                    let walked = bucket.walked(&mut walk, &[(*base).to_owned()]);
                    for (text, means) in SPELLINGS {
                        let key = key(text);
                        let expected = by_hand(test, (from, until), *means);
                        let found = match filter.of_key(&layout.values(&key)) {
                            PartitionVerdict::Wanted | PartitionVerdict::Open => Expected::Read,
                            PartitionVerdict::Unwanted(_) => Expected::Left,
                            PartitionVerdict::WithoutValue(_) => Expected::Odd,
                        };
                        assert_eq!(found, expected, "'{key}' of {config}");
                        let listed = walked.contains(&key);
                        let must = expected == Expected::Read || (expected == Expected::Odd && page_keys == 1000);
                        assert!(listed || !must, "'{key}' is not listed with {page_keys} keys a page, by {config}");
                        read += usize::from(expected == Expected::Read);
                    }
                }
            }
        }
    }
    assert!(read > 10_000, "{read}");
}

#[test]
fn what_no_date_is_in_a_filter_is_an_error_that_names_it() {
    let layout = |parameters: &Value, keys: &[&str]| {
        let mut config = parameters.clone();
        config["bucket"] = "b".into();
        let stream = tollgate_config::parse(config.to_string().as_bytes()).unwrap().streams.remove(0);
        let layout = match &stream.partitions.template {
            Some(template) => Layout::of_template(template, "", &stream.partitions),
            None => {
                let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
                keys.sort();
                let (mut bucket, mut sampled) = (Bucket { keys, page_keys: 1000, requests: 0 }, Vec::new());
                bucket.sampled("", &mut sampled);
                detect("", &sampled, &stream.partitions).unwrap().unwrap()
            }
        };
        BoundFilter::bind(stream.partitions.filter.as_ref().unwrap(), &layout, Timestamp::default())
    };
    let dates = ["dt=2024-01-15/a", "dt=2024-01-16/a"];
    let mixed = ["dt=2024-01-15/a", "dt=latest/a"];
    for (parameters, keys, odd) in [
        (json!({"partition_template": "{date}/", "partition_filter": {"date": "yesterday"}}), &dates, "'yesterday'"),
        (
            json!({"partition_template": "{date}/", "partition_filter": {"date": ["2024-01-15", "latest"]}}),
            &dates,
            "'latest'",
        ),
        (
            json!({"partition_template": "{dt}/", "partition_filter": {"dt": {"gte": "15-01-2024"}}}),
            &dates,
            "'15-01-2024'",
        ),
        (json!({"partition_template": "{x}/", "partition_filter": {"x": ["now-1d", "soon"]}}), &dates, "'soon'"),
        (json!({"partition_filter": {"dt": "yesterday"}}), &dates, "'yesterday'"),
        (json!({"partition_filter": {"dt": "2024-13-01"}}), &dates, "'2024-13-01'"),
        (json!({"partition_filter": {"dt": true}}), &dates, "true"),
        (
            json!({"partition_template": "{year}/{month}/", "partition_filter": {"date": "yesterday"}}),
            &dates,
            "'yesterday'",
        ),
    ] {
        let error = layout(&parameters, keys).expect_err(&parameters.to_string());
        assert!(error.message().contains(&format!("compares with {odd}, expected a date")), "{parameters}: {error}");
    }
    // Where some folders are no dates, or the user says so, a text is a text.
    for parameters in [
        json!({"partition_filter": {"dt": "latest"}}),
        json!({"partition_filter": {"dt": ["2024-01-15", "latest"]}}),
        json!({"partition_template": "{date}/", "partition_types": {"date": "string"}, "partition_filter": {"date": "latest"}}),
        json!({"partition_template": "{kind}/", "partition_filter": {"kind": "latest"}}),
    ] {
        let filter = layout(&parameters, &mixed).unwrap();
        let named = Layout { named: true, ..Layout::default() };
        let key = if parameters.get("partition_template").is_some() { None } else { Some("dt=latest/a") };
        if let Some(key) = key {
            assert_eq!(filter.of_key(&named.values(key)), PartitionVerdict::Wanted, "{parameters}");
        }
    }
}
