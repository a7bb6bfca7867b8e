#!/bin/sh
# Runs the operators' tests under AddressSanitizer and UndefinedBehaviorSanitizer: in an environment of its own, which
# borrows the packages of the other one but not its latentcore. The runtimes are loaded first, since Python itself is
# built without them.
set -eu
work="$PWD/build/asan"
"$BIN/python" -m venv --without-pip --clear "$work/venv"
site=$("$work/venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
"$BIN/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))" >"$site/borrowed.pth"
"$BIN/pip" install --quiet --disable-pip-version-check --no-build-isolation --no-deps --upgrade --target "$site" \
    --config-settings=build-dir="$work/build" --config-settings=cmake.define.LATENTCORE_CUDA=off \
    --config-settings=cmake.define.LATENTCORE_SANITIZE=ON .

# leaks are Python's own and torch's
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0:protect_shadow_gap=0 UBSAN_OPTIONS=print_stacktrace=1
"$work/venv/bin/python" -c "
from latentcore._native import cpu_library as library
assert str(library.path).startswith('$site'), library
print(library)"
LATENTCORE_EXAMPLES=20 "$work/venv/bin/python" -m pytest -q tests/ops tests/math -k "not compile and not opcheck" "$@"
