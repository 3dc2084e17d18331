#!/usr/bin/env bash
# Trains the networks that ship, in the background of a machine that has other things to do:
#   bash scripts/train_tiny.sh SRC [CONFIG] [KEY VALUE ...]
# SRC holds photos/*.jpg and clips/*.mp4 (see scripts/make_tiny_clips.py); CONFIG is configs/tiny/edvr_tiny_x4.yaml
# where it is not given. Called again it goes on where it was stopped.
set -euo pipefail
if [ $# -lt 1 ]; then
    sed -n '2,5s/^# //p' "$0"
    exit 2
fi
source "$(dirname "$0")/python.sh"
source_folder=$1
config=${2:-$PROJECT/configs/tiny/edvr_tiny_x4.yaml}
shift $(($# < 2 ? $# : 2))
clips=()
data=data/tiny/sharp
if [[ $config == *deblur* ]]; then clips=(--clips 300 --blur) data=data/tiny/blurred; fi
nice -n 19 "$PYTHON" "$PROJECT/scripts/make_tiny_clips.py" "$source_folder" "$data" "${clips[@]}"
exec nice -n 19 "$PYTHON" -m ascendvsr train --config-file "$config" continue_training True data.data_dir "$data" "$@"
