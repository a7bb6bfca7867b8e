#!/bin/sh
# usage: wheel_test.sh ENVIRONMENT WHEEL; installs WHEEL without any extra into ENVIRONMENT, which has torch, and tests
# its operators and mixtures there, outside the source tree.
set -eu
python=$(realpath "$1")/bin/python # not resolved further: the link is what makes it the environment's
pip() { "$python" -m pip --quiet --disable-pip-version-check "$@"; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pip install "$2" filelock hypothesis pandas pytest pytest-timeout
# an environment that is kept may hold an older build of the same version
pip install --force-reinstall --no-deps "$2"
mkdir "$work/tests"
cp -r tests/ops tests/mixture tests/conftest.py tests/ambient.py tests/children.py tests/depth.py "$work/tests"
cp tests/cuda_host/harness.py "$work/tests"
cd "$work"
export LATENTCORE_CUDA_HOST=off
"$python" -c "from latentcore._native import cpu_library as library; assert library.loaded, library; print(library)"
# The warnings are torch's own: of torch.jit on importing its compiler (a FutureWarning since 2.15), and one that torch
# 2.15 hides from view where its fake tensors look for gradients, but not from `-W error`.
"$python" -m pytest -q -c /dev/null --rootdir . -W error \
    -W 'ignore:`torch.jit:DeprecationWarning' -W 'ignore:`torch.jit:FutureWarning' \
    -W 'ignore:The .grad attribute:UserWarning:torch._subclasses.meta_utils' -p no:cacheprovider -m 'not long' tests
