#!/bin/sh
# Makes a base image where none can be pulled: this machine's own Debian, as small as it gets, with
# Python. Quick when the image is there already.
#
#     containers/base-image.sh [NAME]            NAME is $BASE_IMAGE by default
set -eu

name=${1:-${BASE_IMAGE:-payresil-base:local}}
packages=python3,python3-venv,ca-certificates

say() { echo "base-image: $*" >&2; }
refuse() { say "$*"; exit 2; }

docker version >/dev/null 2>&1 || refuse "no Docker engine answers: start one, or set DOCKER_HOST"
if docker image inspect "$name" >/dev/null 2>&1; then
    say "$name is there"
    exit 0
fi
[ "$(id -u)" -eq 0 ] || refuse "run it as root: debootstrap unpacks a system; or give BASE_IMAGE an image that can be pulled"
command -v debootstrap >/dev/null || refuse "debootstrap is missing: apt-get install debootstrap"
. /etc/os-release
suite=${VERSION_CODENAME:-}
[ "${ID:-}" = debian ] && [ -n "$suite" ] || refuse "this is no Debian: give BASE_IMAGE an image that can be pulled"

# Where this machine gets its packages from is where the image gets them from.
mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Component: main' "Release: $suite" | head -n 1)
[ -n "$mirror" ] || refuse "apt has no source for $suite: see /etc/apt/sources.list.d"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
root=$work/root
mkdir -m 755 "$root" # it becomes the image's /, which every user must be able to enter
say "making $name of Debian $suite"
debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    say "debootstrap failed"
    exit 1
}
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
    "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
tar --numeric-owner -C "$root" -c . | docker import --change 'CMD ["python3"]' - "$name" >/dev/null
say "$name is made"
