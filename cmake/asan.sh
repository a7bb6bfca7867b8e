#!/bin/sh
# Runs the operators' tests under AddressSanitizer and UndefinedBehaviorSanitizer. The libraries are built apart, beside
# a copy of the Python sources; the runtimes are loaded first, since Python itself is built without them.
set -eu
work=build/asan
"$BIN/pip" install --quiet --disable-pip-version-check --no-build-isolation --no-deps --upgrade --target "$work/site" \
    --config-settings=build-dir="$work/build" --config-settings=cmake.define.LATENTCORE_CUDA=off \
    --config-settings=cmake.define.LATENTCORE_SANITIZE=ON .
# leaks are Python's own and torch's; torch's libraries are not checked
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    ASAN_OPTIONS=detect_leaks=0:protect_shadow_gap=0 UBSAN_OPTIONS=print_stacktrace=1 \
    PYTHONPATH="$PWD/$work/site" LATENTCORE_EXAMPLES=20 \
    "$BIN/python" -m pytest -q -o pythonpath="$work/site ." tests/ops tests/math -k "not compile and not opcheck" "$@"
