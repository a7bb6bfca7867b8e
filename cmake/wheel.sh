#!/bin/sh
# Builds a wheel and tests its operators and mixtures in a new environment, which has nothing that an extra brings. BIN:
# the environment with the build tools; TORCH: what to install beside the wheel.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wheel=$(cmake/wheel_build.sh)
"$BIN/python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$TORCH"
cmake/wheel_test.sh "$work/venv" "$wheel"
"$work/venv/bin/python" -c "
from importlib.util import find_spec
from latentcore._extras import MODULES
found = {module for modules in MODULES.values() for module in modules if find_spec(module)}
assert found <= {'jinja2'}, found  # which torch needs, too
"
echo "wheel: $wheel"
