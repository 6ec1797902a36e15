#!/usr/bin/env bash
# The one way to run: ./spark-submit.sh [options of spark-submit] jobs/JOB.py [options of the job]
# Makes .venv (or the folder in HEADRACE_VENV) when there is none, and then runs `headrace submit`.
set -euo pipefail
# shellcheck source=setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

headrace_setup requirements.lock
exec "$python" -m headrace.cli.submit "$@"
