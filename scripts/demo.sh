#!/usr/bin/env bash
# From nothing to restored video: installs, restores a short real clip by weights that ship, makes a sample from
# photographs, trains a small EDVR for two minutes, evaluates it beside bicubic, restores a clip and freezes the
# network. A second run reuses what is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_environment cpu,sample,train
exec .venv/bin/python -m ascendvsr demo "$@"
