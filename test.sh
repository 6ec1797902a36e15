#!/usr/bin/env bash
# The one way to test: ./test.sh [options of pytest]; `./test.sh tests/unit` takes seconds.
set -euo pipefail
# shellcheck source=setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

headrace_setup requirements-dev.lock
cd "$root"
export HEADRACE_HOME="${HEADRACE_HOME:-$root/.headrace}"
unset PYTHONPATH SPARK_CONF_DIR
# What a test needs of the world, resolved once: Java and the jars.
eval "$("$python" -m headrace.cli.submit --prepare)"
exec "$python" -m pytest "$@"
