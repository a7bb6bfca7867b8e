#!/bin/sh
# Builds a wheel, repairs it with torch's libraries left out, and tests its operators in a new environment, outside the
# source tree. BIN: the environment with the build tools; TORCH: what to install beside the wheel.
set -eu
rm -rf build/wheel
mkdir -p build/wheel/raw
"$BIN/pip" wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps --wheel-dir build/wheel/raw .
# the extension module is bound to a CPython version; the operator libraries to torch's stable ABI alone
PATH="$PWD/$BIN:$PATH" auditwheel repair --wheel-dir dist \
    --exclude 'libtorch*.so' --exclude 'libc10*.so' --exclude 'libcuda*.so*' build/wheel/raw/*.whl
wheel=$(ls -t dist/latentcore-*.whl | head -n 1)

"$BIN/python" -m venv build/wheel/venv
pip="build/wheel/venv/bin/pip --quiet --disable-pip-version-check"
$pip install "$TORCH"
$pip install "$wheel" pytest hypothesis scipy
cp -r tests/ops tests/conftest.py build/wheel/
cd build/wheel
venv/bin/python -c "import latentcore._native as n; assert n.cpu_library.loaded, n.cpu_library; print(n.cpu_library)"
venv/bin/python -m pytest -q -p no:cacheprovider --rootdir . ops
echo "wheel: $wheel"
