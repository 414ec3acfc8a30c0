#!/usr/bin/env bash
# Searches for inputs that break a target, guided by coverage: scripts/fuzz.sh SECONDS [TARGET…] (all targets otherwise).
# Needs a C++ compiler for libFuzzer. What it learns goes to .cache/fuzz/, findings to target/fuzz-findings/.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?usage: scripts/fuzz.sh SECONDS [TARGET…]}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls fuzz/corpus)

# The instrumentation that libFuzzer reads, as stable options of the compiler; with the checks of a debug build.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
-Ccodegen-units=1 -Cdebug-assertions=on -Coverflow-checks=on --cfg fuzzing"
triple=$(rustc -vV | awk '/^host:/ { print $2 }')
# With --target, build scripts and macros are left without instrumentation.
cargo build --locked --release --target "$triple" --target-dir target/fuzz -p tollgate-fuzz --features libfuzzer --bin fuzz \
    --config 'profile.release.lto="off"'

mkdir -p target/fuzz-findings
for target in "${targets[@]}"; do
    mkdir -p ".cache/fuzz/$target"
    echo "=== $target: $seconds s"
    FUZZ_TARGET=$target "target/fuzz/$triple/release/fuzz" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=1024 -max_len=65536 \
        -artifact_prefix="target/fuzz-findings/$target-" -print_final_stats=1 ".cache/fuzz/$target" "fuzz/corpus/$target" 2>&1 | tail -n 12
done
