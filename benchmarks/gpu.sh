#!/bin/sh
# Everything that needs a card, in one run of under 9 minutes: builds the package with its CUDA library beside the torch
# that is there, runs the operators' tests on the card and small ones under compute-sanitizer, then the benchmarks.
# usage: benchmarks/gpu.sh [FOLDER for results and logs]; needs Python with torch, nvcc and the build tools, no network.
set -eu
out=${1:-build/gpu}
mkdir -p "$out"
python=${PYTHON:-python3}
LATENTCORE_CUDA=on "$python" -m pip install --no-build-isolation --no-deps --quiet \
    --config-settings=cmake.define.LATENTCORE_CUDA=on \
    --config-settings=cmake.define.LATENTCORE_CUDA_ARCHITECTURES="${ARCHITECTURES:-90}" . >"$out/build.log" 2>&1 ||
    { tail -n 40 "$out/build.log"; exit 1; }
"$python" -c "from latentcore._native import cuda_library as library; print(library); assert library.loaded"
export LATENTCORE_CUDA_HOST=off
failed=0
# without the options of pyproject.toml: their plugins need not be there
"$python" -m pytest -o addopts= -o minversion=0 -q -p no:cacheprovider -W default tests/ops/test_cuda.py \
    tests/training/test_gradients.py tests/mixture/test_cuda.py >"$out/tests.log" 2>&1 || failed=1
tail -n 15 "$out/tests.log"
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        PYTORCH_NO_CUDA_MEMORY_CACHING=1 timeout 100 compute-sanitizer --tool $tool --error-exitcode 9 "$python" -m pytest -o addopts= -o minversion=0 -q -p no:cacheprovider \
            -W default tests/ops/test_cuda.py -k "float32 or dtype0 or m_step or many_samples" -x >"$out/$tool.log" 2>&1 || failed=1
        echo "$tool: $(tail -n 1 "$out/$tool.log")"
    done
fi
timeout 240 "$python" -m benchmarks.gpu --json "$out/operators--gpu.json" 2>&1 | tee "$out/bench.log" || failed=1
exit $failed
