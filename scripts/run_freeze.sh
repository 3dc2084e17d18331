#!/usr/bin/env bash
# Writes the network of a checkpoint as a frozen graph (<output_dir>/EDVR.pb) and a SavedModel, for deployment:
# frames folded into the batch, any batch size, 8-bit output. Frames have the size of data.eval_in_size, which is
# printed (180x320; data.eval_in_size "[-1, -1]" leaves it free). scripts/run_export.sh writes other formats.
# Usage: run_freeze.sh CKPT [KEY VALUE ...]     CKPT: weights in any format, or EDVR-<step>
# A checkpoint in a run's folder is used with that run's settings, and results go there; CONFIG=FILE names others.
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "usage: bash scripts/run_freeze.sh CKPT [KEY VALUE ...]" >&2
    exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
checkpoint=$1
shift
run_main "${CONFIG_OPTION[@]}" mode freeze checkpoint "$checkpoint" data.eval_batch_size -1 model.input_format_dimension 4 \
    model.convert_output_to_uint8 True "$@"
