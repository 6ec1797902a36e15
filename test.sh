#!/usr/bin/env bash
# The one way to test: ./test.sh [options of pytest]; `./test.sh tests/unit` takes seconds.
# All of them run as two streams, a file in one of them: Spark on small data leaves a core idle.
set -euo pipefail
# shellcheck source=setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

headrace_setup requirements-dev.lock
cd "$root"
export HEADRACE_HOME="${HEADRACE_HOME:-$root/.headrace}"
unset PYTHONPATH SPARK_CONF_DIR
# What a test needs of the world, resolved once: Java and the jars.
eval "$("$python" -m headrace.cli.submit --prepare)"
(($#)) || set -- --numprocesses 2 --dist loadfile --no-loadscope-reorder
exec "$python" -m pytest "$@"
