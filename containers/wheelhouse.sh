#!/bin/sh
# Fills a folder with every wheel that the image needs, so that it builds without an index. Quick
# when nothing changed. Give PYTHON the minor version that the base image has.
#
#     containers/wheelhouse.sh [BASE_IMAGE]      the image is only asked for its Python version
set -eu
cd "$(dirname "$0")/.."

base=${1:-${BASE_IMAGE:-payresil-base:local}}
house=containers/wheelhouse
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}

say() { echo "wheelhouse: $*" >&2; }
version() { "$@" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

wanted=$(version docker run --rm --entrypoint python3 "$base") || {
    say "$base does not run python3: make it with containers/base-image.sh, or set BASE_IMAGE"
    exit 2
}
ours=$(version "$python")
if [ "$wanted" != "$ours" ]; then
    say "$base has Python $wanted and $python is $ours: set PYTHON to a Python $wanted"
    exit 2
fi

made_of=$(cat pyproject.toml constraints.txt containers/image/requirements.py | sha256sum | cut -c1-16)
stamp="$house/.made-of-$made_of-python$wanted"
if [ -e "$stamp" ]; then
    say "up to date"
    exit 0
fi
say "fetching wheels for Python $wanted"
rm -rf "$house"/*.whl "$house"/.made-of-*
"$python" containers/image/requirements.py --with-build pyproject.toml >"$house/.requirements"
"$python" -m pip wheel --quiet --disable-pip-version-check --constraint constraints.txt \
    --wheel-dir "$house" --requirement "$house/.requirements"
touch "$stamp"
say "$(ls "$house"/*.whl | wc -l) wheels"
