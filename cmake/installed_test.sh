#!/bin/sh
# usage: installed_test.sh ENVIRONMENT TESTS...; runs these tests of the latentcore that is installed in ENVIRONMENT, which
# has pytest and its plug-ins, outside the source tree.
set -eu
python=$(realpath "$1")/bin/python # not resolved further: the link is what makes it the environment's
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r pyproject.toml tests "$work"
cd "$work"
export LATENTCORE_CUDA_HOST=off
"$python" -c "from latentcore._native import cpu_library as library; assert library.loaded, library; print(library)"
# torch's compiler, new here, first translates its own headers, which takes a minute or more
"$python" -m pytest -q -p no:cacheprovider --timeout 600 "$@"
