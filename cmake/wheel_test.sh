#!/bin/sh
# usage: wheel_test.sh ENVIRONMENT WHEEL; installs WHEEL without any extra into ENVIRONMENT, which has torch, and tests
# its operators and mixtures there, outside the source tree.
set -eu
pip() { "$environment/bin/pip" --quiet --disable-pip-version-check "$@"; }
environment=$1
pip install "$2" filelock hypothesis pandas pytest pytest-benchmark pytest-timeout pytest-xdist
# an environment that is kept may hold an older build of the same version
pip install --force-reinstall --no-deps "$2"
cmake/installed_test.sh "$environment" tests/ops tests/mixture
