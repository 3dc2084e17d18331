#!/usr/bin/env bash
# PSNR and SSIM of a checkpoint on the evaluation set (data/reds, or what KEY VALUE pairs name).
# Usage: run_evaluation.sh DEVICE_ID CKPT [KEY VALUE ...]     CKPT: weights in any format, or EDVR-<step>
# A checkpoint in a run's folder is used with that run's settings, and results go there; CONFIG=FILE names others.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: bash scripts/run_evaluation.sh DEVICE_ID CKPT [KEY VALUE ...]" >&2
    exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
device_id=$1 checkpoint=$2
shift 2
run_main "${CONFIG_OPTION[@]}" mode eval device_ids "[$device_id]" checkpoint "$checkpoint" "$@"
