#!/usr/bin/env bash
# The full recipe (configs/edvr_precision_overwatch.yaml) in one process a device.
# Usage: run_8p_train_precision_overwatch.sh [KEY VALUE ...]; see run_8p_train.sh.
set -euo pipefail
CONFIG=configs/edvr_precision_overwatch.yaml \
    exec bash "$(dirname "${BASH_SOURCE[0]}")/run_8p_train.sh" "$@"
