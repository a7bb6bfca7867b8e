#!/bin/sh
# Compiles and links liblatentcore_cuda.so and reads its kernels' resources; needs nvcc, no GPU. BIN: the environment.
# usage: cuda_check.sh check|matrix. `check` compiles for sm_90 alone and compares with the table in docs/, `matrix`
# compiles for all architectures that this nvcc knows and writes that table.
set -eu
mode=$1
if ! command -v nvcc >/dev/null; then
    echo "cuda-$mode: no nvcc on this machine, nothing compiled"
    test "$mode" = check # which serves everybody; a table cannot be made without a compiler
    exit
fi
architectures=90
if [ "$mode" = matrix ]; then
    architectures=
    known=$(nvcc --list-gpu-arch)
    for number in 75 80 86 89 90 100 120; do
        if echo "$known" | grep -qx "compute_$number"; then
            architectures="$architectures${architectures:+;}$number"
        else
            echo "cuda-matrix: this nvcc does not know sm_$number, which has no column"
        fi
    done
fi
folder=build/cuda-$mode
log=$folder/build.log
mkdir -p "$folder"
PATH="$PWD/$BIN:$PATH"
cmake -S . -B $folder -G Ninja -DCMAKE_BUILD_TYPE=Release -DSKBUILD_PROJECT_NAME=latentcore \
    -DSKBUILD_PROJECT_VERSION=0 -DPython_EXECUTABLE="$PWD/$BIN/python" -DLATENTCORE_CUDA=on \
    "-DLATENTCORE_CUDA_ARCHITECTURES=$architectures" >$folder.configure.log 2>&1 ||
    { cat $folder.configure.log; exit 1; }
# from the start: ptxas speaks only of what it compiles
cmake --build $folder --target latentcore_cuda --clean-first >$log 2>&1 || { cat $log; exit 1; }
python cmake/cuda_check.py "$mode" $log csrc/cuda/allowed_spills.txt docs/cuda-resources.md \
    "$(nvcc --version | sed -n 's/.*, V//p')"
echo "cuda-$mode: $folder/liblatentcore_cuda.so compiled and linked for $architectures"
