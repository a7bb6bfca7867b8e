#!/bin/sh
# Builds the CUDA kernels for the host's processor (tests/cuda_host) in the folder $1. BIN: the environment; further
# arguments go to cmake.
set -eu
folder=$1
shift
mkdir -p "$folder"
PATH="$PWD/$BIN:$PATH"
cmake -S tests/cuda_host -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE="$PWD/$BIN/python" "$@" \
    >"$folder/build.log" 2>&1 && cmake --build "$folder" >>"$folder/build.log" 2>&1 || { cat "$folder/build.log"; exit 1; }
