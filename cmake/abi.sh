#!/bin/sh
# Shows that one wheel, built beside a torch without CUDA, serves that torch and a newer one with CUDA; needs nvcc, no
# GPU. BIN: the environment with the build tools and TORCH; CUDA_TORCH: what pip installs for the other half. The two
# environments stay in build/abi, since the second is several GB.
set -eu
say() { echo "abi: $*"; }
fail() { echo "abi: error: $*" >&2; exit 1; }
torch_facts='import torch; print(torch.__version__, torch.version.cuda or "none")'

environment() { # NAME REQUIREMENT: the newest torch that REQUIREMENT allows, in build/abi/NAME
    facts=$(cmake/torch_environment.sh "$BIN/python" "build/abi/$1" "$2") || fail "$2 cannot be had"
    say "build/abi/$1 has torch ${facts% *}, CUDA ${facts#* }"
}

serves() { # NAME LIBRARY...: the operators pass, and the LIBRARIES load with every symbol found
    name=$1
    shift
    cmake/wheel_test.sh "build/abi/$name" "$wheel" || fail "the operators' tests fail in build/abi/$name"
    "build/abi/$name/bin/python" -P cmake/abi_check.py "$@" || fail "a library does not load in build/abi/$name"
}

command -v nvcc >/dev/null || fail "no nvcc on this machine, and the wheel has to hold the CUDA library"
facts=$("$BIN/python" -c "$torch_facts")
test "${facts#* }" = none ||
    fail "TORCH=$TORCH is torch ${facts% *} with CUDA; the wheel has to be built beside a CPU build, 2.13.0+cpu say"

wheel=$(cmake/wheel_build.sh) || fail "the wheel cannot be built"
say "$wheel, built beside torch ${facts% *}"
rm -rf build/abi/unpacked
"$BIN/python" -m zipfile -e "$wheel" build/abi/unpacked
for library in cpu cuda; do
    file=build/abi/unpacked/latentcore/liblatentcore_$library.so
    test -f "$file" || fail "$wheel has no $(basename "$file")"
    "$BIN/torch-abi-audit" --verbose --check torch "$file" || fail "$(basename "$file") uses unstable symbols of torch"
done

environment cpu "$TORCH"
test "${facts#* }" = none || fail "TORCH=$TORCH: expected a build without CUDA"
serves cpu cpu

environment cuda "$CUDA_TORCH"
test "${facts#* }" != none || fail "CUDA_TORCH=$CUDA_TORCH: expected a build with CUDA"
serves cuda cpu cuda
say "passed: $wheel serves both"
