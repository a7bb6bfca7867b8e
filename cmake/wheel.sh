#!/bin/sh
# Builds a wheel and tests its operators in a new environment. BIN: the environment with the build tools; TORCH: what to
# install beside the wheel.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wheel=$(cmake/wheel_build.sh)
"$BIN/python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$TORCH"
cmake/wheel_test.sh "$work/venv" "$wheel"
echo "wheel: $wheel"
