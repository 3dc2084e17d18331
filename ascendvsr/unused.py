"""Settings that a command does not use: said on its command line they are refused, rather than ignored."""

from collections.abc import Sequence

from ascendcv.utils.errors import InputError

_TRAINING = {
    "init_from": "train begins with those weights; --checkpoint names those of this command",
    "continue_training": "train goes on by it",
    "solver": "train uses it",
}
_FROZEN = {
    "model.input_format_dimension": "freeze uses it",
    "model.convert_output_to_uint8": "freeze uses it; eval.rounding True rounds before it measures",
}
_MEASURING = {
    "eval.protocol": "eval uses it",
    "eval.crop_border": "eval uses it",
    "eval.rounding": "eval uses it",
    "eval.save_images": "eval uses it",
}
_RESTORING = {
    "inference.input": "inference uses it",
    "inference.output": "inference uses it",
    "inference.fps": "inference uses it",
}
_OF_TRAIN = {
    "checkpoint": "continue_training latest, best, epoch:N or step:N goes on from a checkpoint in output_dir, and "
    "init_from PATH begins with the weights of another",
    **_RESTORING,
    **_FROZEN,
}

# command -> section or key -> what it is for
UNUSED = {
    "train": _OF_TRAIN,
    "lrfinder": {**_OF_TRAIN, "checkpoint": _TRAINING["init_from"], "continue_training": "train goes on by it"},
    "eval": {**_TRAINING, **_RESTORING, **_FROZEN},
    # The release's run_inference.sh says model.convert_output_to_uint8 True, which holds of 8-bit frames anyway.
    "inference": {**_TRAINING, **_MEASURING, "model.input_format_dimension": "freeze uses it"},
    "restore": {**_TRAINING, **_MEASURING, **_RESTORING, **_FROZEN},
    "freeze": {**_TRAINING, **_MEASURING, **_RESTORING},
    "export": {**_TRAINING, **_MEASURING, **_RESTORING},
}
_USED = ("solver.best_is",)  # by --checkpoint best


def refuse_unused(command: str, keys: Sequence[str]) -> None:
    """Raises `InputError` for the first of the keys that the command does not use, saying what does."""
    unused = UNUSED.get(command, {})
    for key in keys:
        for part, purpose in unused.items():
            if key not in _USED and (key == part or key.startswith(f"{part}.")):
                raise InputError(f"{command} does not use {key}: {purpose}")
