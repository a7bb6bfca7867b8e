#!/bin/sh
# Builds a wheel and repairs it with torch's libraries left out; prints its path. BIN: the environment with the build
# tools.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$BIN/pip" wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
    --config-settings=build-dir=build/wheel --wheel-dir "$work/raw" . >&2
# torch brings its own libraries, and the driver's come with the card
PATH="$PWD/$BIN:$PATH" auditwheel repair --wheel-dir "$work/repaired" \
    --exclude 'libtorch*.so' --exclude 'libc10*.so' --exclude 'libcuda*.so*' "$work"/raw/*.whl >&2
wheel=dist/$(basename "$work"/repaired/*.whl)
mkdir -p dist
mv "$work"/repaired/*.whl "$wheel"
echo "$wheel"
