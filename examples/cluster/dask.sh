#!/usr/bin/env bash
# A Dask cluster by hand, on this host: a scheduler and N workers, which restore, eval, evaluate, degrade and prepare
# use by --cluster ADDRESS. Workers may be on any host that sees the same folders and has the same packages.
# Usage: dask.sh N COMMAND [arguments of ascendvsr ...]      such as: dask.sh 2 restore film.mkv restored.mkv
set -euo pipefail
python=${PYTHON:-python3} workers=$1
shift
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$folder"' EXIT
"$python" -m distributed.cli.dask_scheduler --host 127.0.0.1 --port 0 --no-dashboard \
    --scheduler-file "$folder/scheduler.json" >"$folder/log" 2>&1 &
for _ in $(seq "$workers"); do
    "$python" -m distributed.cli.dask_worker --scheduler-file "$folder/scheduler.json" --host 127.0.0.1 \
        --nthreads 1 --no-dashboard --local-directory "$folder" >>"$folder/log" 2>&1 &
done
until [ -s "$folder/scheduler.json" ]; do sleep 0.2; done
address=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["address"])' "$folder/scheduler.json")
"$python" -m ascendvsr "$@" --cluster "$address"
