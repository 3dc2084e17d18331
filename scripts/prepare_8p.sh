#!/usr/bin/env bash
# Checks the cluster file of run_8p_train.sh and says what will run on this host.
# Usage: prepare_8p.sh [CLUSTER.json]     default: scripts/8p.json
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
PYTHONPATH=.${PYTHONPATH:+:$PYTHONPATH} exec "$PYTHON" -m ascendvsr.training.launch "${1:-scripts/8p.json}" --check
