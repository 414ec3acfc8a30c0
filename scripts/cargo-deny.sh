#!/usr/bin/env bash
# Runs cargo-deny on the licences, bans and sources of all dependencies; installs it once into .cache/cargo-deny.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
root=.cache/cargo-deny

if cargo deny --version 2>/dev/null | grep -qF " $version"; then
    exec cargo deny check bans licenses sources
fi
if ! "$root/bin/cargo-deny" --version 2>/dev/null | grep -qF " $version"; then
    echo "cargo-deny: installing $version into $root (once; one or two minutes)"
    # A debug build: it takes a third of the time, and runs a second longer.
    CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deny --version "$version" --locked --debug --quiet --root "$root"
fi
exec "$root/bin/cargo-deny" deny check bans licenses sources
