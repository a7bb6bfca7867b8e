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
cd "$work"
venv/bin/latentcore info > info.txt
venv/bin/latentcore train autoencoder --help > help.txt
if venv/bin/latentcore train autoencoder digits 2> said.txt || ! grep -q "the extra \[train\]" said.txt; then
    echo "wheel: error: a training without [train] ended like this: $(cat said.txt)" >&2
    exit 1
fi
echo "wheel: $wheel"
