#!/usr/bin/env bash
# Makes .venv with what the tests need, runs them and tells which lines they ran: those that run in processes of
# their own, as whole commands do, are not counted. Arguments go to pytest: `bash scripts/test.sh -m slow`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_environment test
if [ $# -eq 0 ]; then
    set -- -m "not slow"
fi
exec .venv/bin/python -m pytest -n "$(nproc)" --dist worksteal --cov --cov-report=term "$@"
