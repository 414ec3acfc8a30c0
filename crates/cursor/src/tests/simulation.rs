//! A bucket that lives, and runs that read it: whatever happens, each version of a file that a complete run finds was read
//! once, or its run said that it could not know.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};

use crate::incremental::Limits;
use crate::*;
use tollgate_base::object::{ObjectFacts, StorageClass, Timestamp};

const DAY: i64 = 86_400;

/// One version of a file.
type Version = (String, Timestamp);

struct World {
    seed: u64,
    now: i64,
    next: usize,
    bucket: BTreeMap<String, Timestamp>,
    gone: Vec<Version>,
    /// How often each version was read to its end.
    read: HashMap<Version, u32>,
    /// Versions that came back after a listing without them: they may be read again.
    returned: HashSet<Version>,
    /// Versions of which a run said that it cannot know whether they were read.
    doubted: HashSet<Version>,
    /// Versions with an earlier time than the one that was read: left out, as by the connector that we replace, and
    /// reported.
    older: HashSet<Version>,
    again: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now: 20_000 * DAY,
            next: 0,
            bucket: BTreeMap::new(),
            gone: Vec::new(),
            read: HashMap::new(),
            returned: HashSet::new(),
            doubted: HashSet::new(),
            older: HashSet::new(),
            again: 0,
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % below.max(1) as u64) as usize
    }

    fn at(&self, seconds_ago: i64) -> Timestamp {
        Timestamp::from_seconds(self.now - seconds_ago, 0)
    }

    /// New files, with times up to so many seconds ago.
    fn upload(&mut self, count: usize, up_to_seconds_ago: i64) {
        for _ in 0..count {
            let ago = self.random(up_to_seconds_ago as usize + 1) as i64;
            let key = format!("data/year=2024/month=07/part-{:08x}-{:012}.json", self.random(1 << 30), self.next);
            self.next += 1;
            self.bucket.insert(key, self.at(ago));
        }
    }

    fn pick(&mut self) -> Option<String> {
        let from = format!("data/year=2024/month=07/part-{:08x}", self.random(1 << 30));
        self.bucket.range(from..).next().map(|(key, _)| key.clone())
    }

    fn modify(&mut self, count: usize) {
        for _ in 0..count {
            let Some(key) = self.pick() else { return };
            let ago = self.random(3600) as i64;
            let at = self.at(ago);
            self.bucket.insert(key, at);
        }
    }

    fn delete(&mut self, count: usize) {
        for _ in 0..count {
            let Some(key) = self.pick() else { return };
            let at = self.bucket.remove(&key).unwrap();
            self.gone.push((key, at));
        }
    }

    /// Uploads deleted keys anew, and puts some back as they were.
    fn restore(&mut self, count: usize) {
        for _ in 0..count.min(self.gone.len()) {
            let at = self.random(self.gone.len());
            let (key, old) = self.gone.swap_remove(at);
            if self.random(2) == 0 {
                self.returned.insert((key.clone(), old));
                self.bucket.insert(key, old);
            } else {
                self.bucket.insert(key, self.at(0));
            }
        }
    }

    /// What lifecycle rules do: whole days vanish at the old end.
    fn expire(&mut self, older_than_days: i64) {
        let bound = Timestamp::from_seconds((self.now / DAY - older_than_days) * DAY, 0);
        self.bucket.retain(|_, at| *at >= bound);
    }

    fn objects(&self) -> Vec<ObjectFacts> {
        let object = |(key, at): (&String, &Timestamp)| ObjectFacts {
            key: key.as_str().into(),
            size: 10,
            modified_at: *at,
            etag: format!("\"{}\"", at.micros()).into(),
            storage_class: StorageClass::Standard,
        };
        self.bucket.iter().map(object).collect()
    }

    /// A run. One that is interrupted ends some of its files, leaves some inside and some untouched.
    fn sync(&mut self, state: &Value, limits: Limits, interrupted: bool) -> Value {
        let mut incremental = Incremental::new(StreamState::read(state).unwrap(), None);
        incremental.limits = limits;
        let window = Window { listed_at: self.at(0), late_days: 7, full_history_days: 3 };
        let mut reconciler = ListingReconciler::new(&incremental, window);
        let objects = self.objects();
        let seen: Vec<_> = objects.iter().map(|object| reconciler.observe(object, None)).collect();
        let reconciled = reconciler.settle();
        let mut files = Vec::new();
        for (object, seen) in objects.into_iter().zip(seen) {
            let decision = match seen {
                Observation::Decided(decision) => decision,
                Observation::Open(file) => reconciled.decide(file),
            };
            let version = (object.key.to_string(), object.modified_at);
            match decision {
                Decision::BeyondHistory | Decision::InDoubt => _ = self.doubted.insert(version),
                Decision::OlderThanRead => _ = self.older.insert(version),
                Decision::ReadAgain => {
                    self.again += 1;
                    self.returned.insert(version);
                }
                _ => {}
            }
            if decision.reads() {
                files.push(object);
            }
        }
        files.sort_by_key(|object| (object.modified_at, object.key.clone()));
        let mut cursor = Cursor::Incremental(reconciled.finish());
        let until = if interrupted { self.random(files.len() + 1) } else { files.len() };
        let mut inside = 0;
        for object in &files[..until] {
            let from = cursor.start(object);
            cursor.begin(object, from);
            // No more than a run has in flight.
            if interrupted && inside < 8 && self.random(20) == 0 {
                inside += 1;
                continue;
            }
            cursor.end(&object.key);
            *self.read.entry((object.key.to_string(), object.modified_at)).or_default() += 1;
        }
        let text = cursor.document().to_string();
        assert!(text.len() < limits.bytes + 20_000, "the state has {} bytes", text.len());
        serde_json::from_str(&text).unwrap()
    }

    /// Holds what is in the bucket against what was read, after a complete run.
    fn check(&self, what: &str) {
        for (key, at) in &self.bucket {
            let version = (key.clone(), *at);
            match self.read.get(&version).copied().unwrap_or(0) {
                0 if self.older.contains(&version) => {}
                0 => assert!(self.doubted.contains(&version), "{what}: {key} of {at} was missed in silence"),
                1 => {}
                _ => assert!(self.returned.contains(&version), "{what}: {key} of {at} was read twice"),
            }
        }
    }
}

/// A twentieth of the real sizes, so that small buckets meet every limit.
const SMALL: Limits = Limits { history: 500, bytes: 60_000, cells: 1_650 };

#[test]
fn nothing_is_missed_and_nothing_read_twice_whatever_happens_to_the_bucket() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        let mut state = json!({});
        world.upload(6_000, 40 * DAY);
        for run in 0..12 {
            state = world.sync(&state, SMALL, run % 4 == 2);
            if run % 4 != 2 {
                world.check(&format!("seed {seed}, run {run}"));
            }
            world.now += 3_600 + world.random(DAY as usize) as i64;
            let large = world.random(5) == 0;
            world.upload(if large { 4_000 } else { 150 }, 3_600);
            let late = world.random(120);
            world.upload(late, 6 * DAY);
            let very_late = world.random(20);
            world.upload(very_late, 45 * DAY);
            let skewed = world.random(30);
            world.upload_ahead(skewed);
            let (changed, deleted, restored) = (world.random(60), world.random(30), world.random(15));
            world.modify(changed);
            world.delete(deleted);
            world.restore(restored);
            world.expire(40);
        }
        assert_eq!((world.again, world.doubted.len()), (0, 0), "seed {seed}: the memory was large enough");
    }
}

impl World {
    /// New files of a server whose clock is up to two days ahead.
    fn upload_ahead(&mut self, count: usize) {
        self.now += 2 * DAY;
        self.upload(count, 2 * DAY);
        self.now -= 2 * DAY;
    }
}

#[test]
fn more_change_than_the_memory_can_tell_apart_is_never_silent() {
    for seed in 0..4 {
        let mut world = World::new(seed);
        world.upload(24_000, 60 * DAY);
        let mut state = world.sync(&json!({}), SMALL, false);
        world.check("first");
        world.now += DAY;
        world.upload(700, 7 * DAY);
        world.upload(300, 60 * DAY);
        world.delete(10_000);
        state = world.sync(&state, SMALL, false);
        world.check("after a large deletion");
        assert!(world.again > 0 && !world.doubted.is_empty(), "seed {seed}: {} {}", world.again, world.doubted.len());
        let inside = world.at(7 * DAY);
        assert!(world.doubted.iter().all(|(_, at)| *at < inside), "inside the window nothing is in doubt");
        // From here on it is exact again.
        (world.again, world.now) = (0, world.now + DAY);
        let doubted = world.doubted.len();
        world.upload(100, 60 * DAY);
        state = world.sync(&state, SMALL, false);
        world.check("afterwards");
        assert_eq!((world.again, world.doubted.len()), (0, doubted), "seed {seed}");
        // More files of a time than were read: some of them are new.
        world.now += DAY;
        let before = world.read.values().sum::<u32>();
        world.upload(5_000, 60 * DAY);
        world.sync(&state, SMALL, false);
        world.check("after many late files");
        let read = world.read.values().sum::<u32>() - before;
        assert!(world.again > 0 && read >= 5_000, "seed {seed}: {read}");
        assert_eq!(world.doubted.len(), doubted, "seed {seed}");
    }
}

/// Prints how state, memory and time grow. `cargo test --release --lib growth -- --ignored --nocapture`
#[test]
#[ignore = "takes a while and prints"]
#[expect(clippy::print_stderr, reason = "a report for people")]
fn growth_of_the_state() {
    for files in [10_000, 100_000, 1_000_000] {
        let mut world = World::new(files as u64);
        world.upload(files, 300 * DAY);
        let mut state = json!({});
        for run in ["first", "unchanged", "late, changed, deleted"] {
            if run.starts_with("late") {
                world.now += DAY;
                world.upload(files / 200, 3_600);
                world.upload(files / 200, 6 * DAY);
                world.upload(files / 1000, 300 * DAY);
                world.modify(files / 200);
                world.delete(files / 500);
                world.upload_ahead(files / 1000);
                world.expire(295);
            }
            let began = std::time::Instant::now();
            state = world.sync(&state, Limits::default(), false);
            let took = began.elapsed();
            world.check(run);
            let bytes = state.to_string().len();
            assert!(bytes < 1_000_000, "{bytes}");
            let began = std::time::Instant::now();
            let cursor = Incremental::new(StreamState::read(&state).unwrap(), None);
            let text = cursor.document().to_string();
            assert_eq!(text, state.to_string());
            eprintln!(
                "{files} files, {run}: state {bytes} bytes ({} in history), run {took:.1?}, read and write of a state {:.1?}",
                state["history"].as_object().map_or(0, serde_json::Map::len),
                began.elapsed()
            );
        }
        assert_eq!((world.again, world.doubted.len()), (0, 0));
    }
}
