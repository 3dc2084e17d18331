#!/usr/bin/env bash
# REDS, ready for training: bash scripts/prepare_reds_dataset.sh [DIR] (data/reds; about 76 GB while it works).
# Downloads the sharp and the x4 bicubic frames, appends the official validation clips as 240-269, and writes the
# set files with REDS4 as val.json. Every step is done once; run it again after an interruption.
# REDS_SERVER=google or an address takes the archives from elsewhere.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/python.sh"
dir=$(realpath --canonicalize-missing "${1:-data/reds}")

if [ ! -d "$dir/images/truth" ]; then
    "$PYTHON" "$PROJECT/scripts/download_REDS.py" --root_dir "$dir" --server "${REDS_SERVER:-snu}" \
        --train_sharp --train_sharp_bicubic --val_sharp --val_sharp_bicubic
    "$PYTHON" "$PROJECT/scripts/regroup_reds_dataset.py" "$dir"
    mkdir -p "$dir/images"
    mv "$dir/train_sharp" "$dir/images/truth"
fi
if [ ! -d "$dir/images/blur4" ]; then
    mv "$dir/train_sharp_bicubic/X4" "$dir/images/blur4"
fi
"$PYTHON" "$PROJECT/scripts/make_reds_dataset.py" "$dir"
