#!/usr/bin/env bash
# Writes the network of a checkpoint for other runtimes and compares each file with it (<output_dir>/EDVR.onnx ...).
# Usage: run_export.sh CKPT FORMAT[,FORMAT...] [options of `ascendvsr export`] [KEY VALUE ...]
#   FORMAT: onnx, onnx-standard, openvino, litert, ascend, savedmodel, pb
# A checkpoint in a run's folder is used with that run's settings, and results go there; CONFIG=FILE names others.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: bash scripts/run_export.sh CKPT FORMAT[,FORMAT...] [--size H W] [KEY VALUE ...]" >&2
    exit 2
fi
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
checkpoint=$1 formats=$2
shift 2
run_main export "${CONFIG_OPTION[@]}" --checkpoint "$checkpoint" --format "$formats" "$@"
