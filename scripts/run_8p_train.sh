#!/usr/bin/env bash
# Trains by configs/edvr.yaml in one process a device, as the cluster file says: a JSON list of "host:port", one a
# worker, whose first entries on this host get devices 0, 1, ... For several hosts write one list, give it to all
# hosts, with an output_dir that they share, and start this script on each.
# Usage: run_8p_train.sh [KEY VALUE ...]     CLUSTER=scripts/2p.json, CONFIG=FILE change what is read.
# Without accelerators the workers share the processor; `num_threads 1` keeps them out of each other's way.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
exec "$PYTHON" -m ascendvsr.training.launch "${CLUSTER:-$PROJECT/scripts/8p.json}" \
    --config-file "${CONFIG:-configs/edvr.yaml}" mode train "$@"
