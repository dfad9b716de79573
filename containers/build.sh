#!/bin/sh
# Builds the image, also where no registry and no index can be reached from a build.
#
#     containers/build.sh [OPTIONS of docker build]
#
# Settings, all from the environment:
#     PAYRESIL_IMAGE  the name to give it                        payresil:local
#     BASE_IMAGE      what to build on; made from this machine's Debian packages when it is not set
#     WHEELHOUSE      fill: fetch the wheels here, on the host   fill
#                     keep: use those that are there; none: build from an index
#     PIP_OPTIONS     for `none`: --index-url and the like
#     PYTHON          a Python of the base image's version, to fetch with
set -eu
cd "$(dirname "$0")/.."

image=${PAYRESIL_IMAGE:-payresil:local}
if [ -z "${BASE_IMAGE:-}" ]; then
    BASE_IMAGE=payresil-base:local
    containers/base-image.sh "$BASE_IMAGE"
fi
case ${WHEELHOUSE:-fill} in
    fill) containers/wheelhouse.sh "$BASE_IMAGE" ;;
    keep) ;;
    none) rm -rf containers/wheelhouse/*.whl containers/wheelhouse/.made-of-* ;;
    *) echo "build: WHEELHOUSE is fill, keep or none, not '$WHEELHOUSE'" >&2; exit 2 ;;
esac
exec docker build --build-arg BASE_IMAGE="$BASE_IMAGE" --build-arg PIP_OPTIONS="${PIP_OPTIONS:-}" \
    --tag "$image" "$@" .
