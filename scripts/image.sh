#!/usr/bin/env bash
# Builds the connector's image from a binary that was built outside.
#
#   scripts/image.sh NAME:TAG [BINARY]
#
# BASE names the base image (default debian:bookworm-slim). Where it is neither here nor to be pulled, a stand-in with
# the same packages is made with debootstrap, which wants root.
set -euo pipefail
cd "$(dirname "$0")/.."

image=$1
binary=${2:-target/dist/tollgate}
base=${BASE:-debian:bookworm-slim}
stand_in=tollgate/base-stand-in:bookworm

# Exit code 3: nothing is wrong with the image, but it cannot be built on this machine.
fail() {
    echo "image: $1" >&2
    exit "${2:-1}"
}

make_stand_in() {
    [ "$(id -u)" = 0 ] || fail "cannot pull $base, and making a stand-in with debootstrap wants root" 3
    if ! command -v debootstrap > /dev/null; then
        { apt-get update && apt-get install -y --no-install-recommends debootstrap; } > /dev/null \
            || fail "cannot pull $base, and debootstrap is not to be had" 3
    fi
    local root mirror
    root=$(mktemp -d)
    # The mirror that this machine itself uses, if it tells.
    mirror=$(apt-get indextargets --format '$(REPO_URI)' "Created-By: Packages" "Release: bookworm" 2> /dev/null | head -n 1)
    echo "image: cannot pull $base; making $stand_in with debootstrap"
    debootstrap --variant=minbase --include=ca-certificates bookworm "$root" ${mirror:+"$mirror"} > "$root.log" 2>&1 \
        || { tail -n 20 "$root.log" >&2; fail "cannot pull $base, and debootstrap failed" 3; }
    # Nothing is installed into an image by accident: no sources, no caches.
    rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d" "$root"/var/lib/apt/lists/* \
        "$root"/var/cache/apt/* "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
    tar -C "$root" --numeric-owner -c . | docker import - "$stand_in" > /dev/null
    rm -rf "$root" "$root.log"
}

command -v docker > /dev/null && docker info > /dev/null 2>&1 || fail "needs a running docker engine" 3
[ -x "$binary" ] || fail "$binary is missing; run: make build"

present() { docker image inspect "$1" > /dev/null 2>&1; }

if ! present "$base" && { present "$stand_in" || ! timeout 60 docker pull -q "$base" > /dev/null 2>&1; }; then
    present "$stand_in" || make_stand_in
    base=$stand_in
fi

# A folder with nothing but the recipe and the binary: no engine has to be sent the work tree.
context=$(mktemp -d)
trap 'rm -rf -- "$context"' EXIT
cp Dockerfile "$context/"
install -D -m 0755 "$binary" "$context/tollgate"

# The target is named because the old builder would also make the stages that are not needed.
if ! docker build --quiet --target prebuilt --build-arg BASE="$base" --build-arg BINARY=tollgate \
    --build-arg VERSION="${image##*:}" --tag "$image" "$context" > "$context/build.log" 2>&1; then
    cat "$context/build.log" >&2
    fail "the build failed"
fi
echo "image: $image ($(docker image inspect --format '{{.Size}}' "$image" | numfmt --to=iec --suffix=B), base $base)"
