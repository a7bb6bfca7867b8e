#!/bin/sh
# usage: torch_environment.sh PYTHON FOLDER REQUIREMENT; makes FOLDER an environment of PYTHON with the newest torch that
# REQUIREMENT allows, or brings the one that is there up to date; prints torch's version and its CUDA ("none" without).
set -eu
fail() { echo "error: $*" >&2; exit 1; }
test -x "$2/bin/python" || "$1" -m venv "$2"
"$2/bin/pip" install --quiet --disable-pip-version-check --upgrade "$3" >&2 || fail "pip could not install $3 in $2"
# -W ignore: numpy, which torch misses, comes with latentcore
"$2/bin/python" -W ignore -c 'import torch; print(torch.__version__, torch.version.cuda or "none")' ||
    fail "torch cannot be imported in $2"
