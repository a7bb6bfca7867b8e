#!/bin/sh
# usage: torches.sh REQUIREMENT...; for each torch, such as torch==2.11.0 or torch: builds latentcore beside it, as
# `pip install --no-build-isolation .` does, runs the tests of the operators and of what stands on them directly, and one
# training. PYTHON: what the environments are made of; TOOLS: what a build needs besides torch. The environments stay in
# build/torches, since each is several GB.
set -eu
say() { echo "torches: $*"; }
fail() { say "error: $*" >&2; exit 1; }

installed() { # FOLDER: latentcore and what its tests need, in the environment FOLDER
    "$1/bin/pip" install --quiet --disable-pip-version-check $TOOLS &&
        "$1/bin/pip" install --quiet --disable-pip-version-check --no-build-isolation \
            --config-settings=build-dir="$1/build" --config-settings=cmake.define.LATENTCORE_WERROR=ON ".[test]"
}

trained() { # FOLDER: one epoch and its evaluation
    rm -rf "$1/run"
    "$1/bin/latentcore" train autoencoder digits --epochs 1 --run-dir "$1/run" && "$1/bin/latentcore" evaluate "$1/run"
}

for requirement; do
    began=$(date +%s)
    folder=build/torches/${requirement#torch==}
    facts=$(cmake/torch_environment.sh "$PYTHON" "$folder" "$requirement") || fail "$requirement cannot be had"
    torch="torch ${facts% *}, CUDA ${facts#* }"
    say "$folder has $torch"
    installed "$folder" || fail "$torch: latentcore cannot be built"
    "$folder/bin/python" -W ignore -c "import torch; assert torch.__version__ == '${facts% *}', torch.__version__" ||
        fail "$torch: another torch came with what the tests need"
    cmake/installed_test.sh "$folder" tests/ops tests/reference tests/mixture tests/test_torch_private.py ||
        fail "$torch: tests fail"
    trained "$folder" || fail "$torch: the training fails"
    say "$torch: passed, $(($(date +%s) - began)) s"
done
