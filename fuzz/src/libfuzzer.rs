//! One target under libFuzzer: `FUZZ_TARGET=csv fuzz corpus/csv`. Built by `scripts/fuzz.sh`.
#![no_main]

use std::sync::LazyLock;

use tollgate_fuzz::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    // libFuzzer's hook ends the process at any panic, also at one that a decoder catches to make an error of it. What
    // is not caught still ends it.
    _ = std::panic::take_hook();
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
        let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
        panic!("FUZZ_TARGET names no target; there are {}", names.join(", "))
    })
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| (TARGET.run)(input));
