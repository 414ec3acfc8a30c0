//! Every target over its kept corpus, and over changes of it: `TOLLGATE_FUZZ_INPUTS` for each target (default 1000), the
//! same ones in each run, so that a test that passed goes on to pass. A finding is written to `target/fuzz-findings/` and
//! belongs into the corpus once it is mended. The long search is `make fuzz`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics with what it met, and says how far it got"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tollgate_fuzz::{TARGETS, Target};

/// One input may take this long, without optimisation and on a busy machine.
const LONGEST: Duration = Duration::from_secs(10);

/// Texts at which decoders change their minds.
const WORDS: &[&str] = &[
    "\"",
    "'",
    ",",
    ";",
    "\r\n",
    "\n",
    "\r",
    "\\",
    "\u{feff}",
    "{",
    "}",
    "[",
    "]",
    ":",
    "null",
    "true",
    "1e999",
    "-0",
    "\\ud800",
    "\0",
    "\x1f\u{8b}",
    "PAR1",
    "\"\"",
    "9223372036854775808",
    "{\"a\":1}\n",
    "**",
    "{a,b}",
    "[!x]",
    "\t",
];

#[test]
fn nothing_in_or_near_the_corpus_breaks_a_target() {
    let inputs = std::env::var("TOLLGATE_FUZZ_INPUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    for (index, target) in TARGETS.iter().enumerate() {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{} has no corpus", target.name);
        for input in &corpus {
            run(target, input);
        }
        let started = Instant::now();
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ index as u64);
        for _ in 0..inputs {
            run(target, &change(&corpus, &mut random));
        }
        println!("{}: {} kept inputs, {inputs} changed ones in {:.1?}", target.name, corpus.len(), started.elapsed());
    }
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort_unstable();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn run(target: &Target, input: &[u8]) {
    let started = Instant::now();
    let outcome = std::panic::catch_unwind(|| (target.run)(input));
    let took = started.elapsed();
    if outcome.is_ok() && took < LONGEST {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz-findings");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{}-{:016x}", target.name, hash(input)));
    std::fs::write(&path, input).unwrap();
    let what = if outcome.is_err() { "panicked".to_owned() } else { format!("took {took:?}") };
    panic!("{} {what}; the input is in {}", target.name, path.display());
}

/// FNV-1a: a name for a finding.
fn hash(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// An input of the corpus with one to four changes.
fn change(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.below(256) as u8,
            2 => {
                let end = (at + random.below(16)).min(input.len());
                input.drain(at..end);
            }
            3 => {
                let word = WORDS[random.below(WORDS.len())];
                input.splice(at..at, word.bytes());
            }
            4 => input.truncate(at),
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let end = (at + random.below(64)).min(input.len());
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
        }
    }
    input
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
