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

BIN="$BIN" cmake/cuda_host.sh "$work/cuda-host" -DLATENTCORE_SANITIZE=ON
export LATENTCORE_CUDA_HOST="$work/cuda-host/liblatentcore_cuda_host.so"

# leaks are Python's own and torch's
export LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0:protect_shadow_gap=0 UBSAN_OPTIONS=print_stacktrace=1
"$work/venv/bin/python" -c "
from latentcore._native import cpu_library as library
assert str(library.path).startswith('$site'), library
print(library)"
# a planted fault ends the process here, while the tests want to see its wrong result
if PYTHONPATH=tests/cuda_host "$work/venv/bin/python" -c "
import harness, torch
harness.load()
torch.ops.latentcore_cuda_host_faults.sum(torch.ones(300), 'off_by_one')" 2>"$work/fault.log"; then
    echo "asan: a read beyond shared memory was not seen"
    exit 1
fi
grep -q heap-buffer-overflow "$work/fault.log" || { cat "$work/fault.log"; exit 1; }
LATENTCORE_EXAMPLES=5 "$work/venv/bin/python" -m pytest -n 0 --timeout 0 -o faulthandler_timeout=0 -q tests/ops tests/math tests/cuda_host \
    tests/data/test_lzf.py -k "not compile and not opcheck and not a_fault_shows" "$@"
