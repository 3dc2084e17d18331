#!/usr/bin/env bash
# Trains by configs/edvr.yaml in one process, on NUM_DEVICES devices that begin with number DEVICE_ID.
# Usage: run_1p_train.sh DEVICE_ID NUM_DEVICES [KEY VALUE ...]
# Without accelerators the processor serves as NUM_DEVICES devices. CONFIG=FILE names another configuration.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: bash scripts/run_1p_train.sh DEVICE_ID NUM_DEVICES [KEY VALUE ...]" >&2
    exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
device_id=$1 devices=$2
shift 2
run_main --config-file "${CONFIG:-configs/edvr.yaml}" mode train \
    device_ids "[$device_id]" rank_size "$devices" "$@"
