#!/usr/bin/env bash
# The full recipe (configs/edvr_precision_overwatch.yaml) in one process.
# Usage: run_1p_train_precision_overwatch.sh DEVICE_ID NUM_DEVICES [KEY VALUE ...]
set -euo pipefail
CONFIG=configs/edvr_precision_overwatch.yaml \
    exec bash "$(dirname "${BASH_SOURCE[0]}")/run_1p_train.sh" "$@"
