#!/bin/sh
# Compiles and links liblatentcore_cuda.so for sm_90 and checks its kernels; needs nvcc, no GPU. BIN: the environment.
set -eu
if ! command -v nvcc >/dev/null; then
    echo "cuda-check: no nvcc on this machine, nothing checked"
    exit 0
fi
folder=build/cuda-check
log=$folder/build.log
PATH="$PWD/$BIN:$PATH"
cmake -S . -B $folder -G Ninja -DCMAKE_BUILD_TYPE=Release -DSKBUILD_PROJECT_NAME=latentcore \
    -DSKBUILD_PROJECT_VERSION=0 -DPython_EXECUTABLE="$PWD/$BIN/python" -DLATENTCORE_CUDA=on \
    -DLATENTCORE_CUDA_ARCHITECTURES=90 >$folder.configure.log 2>&1 || { cat $folder.configure.log; exit 1; }
# from the start: ptxas speaks only of what it compiles
cmake --build $folder --target latentcore_cuda --clean-first >$log 2>&1 || { cat $log; exit 1; }
python cmake/cuda_check.py $log csrc/cuda/allowed_spills.txt
echo "cuda-check: $folder/liblatentcore_cuda.so compiled and linked"
