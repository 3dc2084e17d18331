#!/usr/bin/env bash
# Trains on two hosts with two GPUs each, by hand: run this on node0 and on node1, in the same shared folder.
# The launcher starts the entries of two_hosts.json that are this host's, restarts all of them from the last
# checkpoint when one dies, ten times at most, and ends when they do.
# Usage: two_hosts.sh --config-file FILE.yaml [KEY VALUE ...]
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
exec "${PYTHON:-python3}" -m ascendvsr.training.launch "$here/two_hosts.json" --restarts 10 train "$@"
