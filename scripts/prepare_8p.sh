#!/usr/bin/env bash
# Checks the cluster file of run_8p_train.sh, the ports and the devices, and says what will run on this host. Fails
# where a port is taken or a device is missing; workers that are to share the processors say `device cpu`.
# Usage: prepare_8p.sh [CLUSTER.json [KEY VALUE ...]]     default: scripts/8p.json; CONFIG=FILE names settings
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
exec "$PYTHON" -m ascendvsr.training.launch "${1:-$PROJECT/scripts/8p.json}" --check \
    --config-file "${CONFIG:-configs/edvr.yaml}" "${@:2}"
