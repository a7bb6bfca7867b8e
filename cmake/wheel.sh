#!/bin/sh
# Builds a wheel, repairs it with torch's libraries left out, and tests its operators in a new environment, outside the
# source tree. BIN: the environment with the build tools; TORCH: what to install beside the wheel.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$BIN/pip" wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps \
    --config-settings=build-dir=build/wheel --wheel-dir "$work/raw" .
# torch brings its own libraries, and the driver's come with the card
PATH="$PWD/$BIN:$PATH" auditwheel repair --wheel-dir dist \
    --exclude 'libtorch*.so' --exclude 'libc10*.so' --exclude 'libcuda*.so*' "$work"/raw/*.whl
wheel=$(ls -t dist/latentcore-*.whl | head -n 1)

"$BIN/python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$TORCH"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$wheel[test]"
cp -r tests/ops tests/conftest.py "$work"
cd "$work"
venv/bin/python -c "from latentcore._native import cpu_library as library; assert library.loaded, library; print(library)"
# the warning is torch's own, on importing its compiler
venv/bin/python -m pytest -q -c /dev/null --rootdir . -W error \
    -W 'ignore:`torch.jit:DeprecationWarning' -p no:cacheprovider ops
echo "wheel: $wheel"
