"""The whole state of a training run, as a checkpoint keeps it.

    model.weights.h5   the weights
    ema.weights.h5     their moving average, where there is one
    state.npz          the optimizer's slots and counts, random states
    meta.json          step, epoch, score, elapsed time, loss scale, the hooks' states, settings of the run

The learning rate and the position in the data follow from the step.
"""

import random
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from ascendcv.runner.checkpoint import CheckpointStore, read_meta
from ascendcv.runner.trainer import Trainer
from ascendcv.utils.errors import InputError

WeightsFile = Callable[[keras.Model, Path], Any]


def save_state(
    trainer: Trainer,
    store: CheckpointStore,
    save_weights: WeightsFile,
    settings: Mapping[str, Any] = MappingProxyType({}),
    score: float | None = None,
) -> Path:
    """Writes the checkpoint of the trainer's step; `save_weights(model, path)` writes a `.weights.h5`.

    `settings` are kept for who continues the run; `score`, where there is one, ranks the checkpoint.
    """

    def fill(folder: Path) -> dict[str, Any]:
        save_weights(trainer.model, folder / "model.weights.h5")
        if trainer.ema_model is not None:
            save_weights(trainer.ema_model, folder / "ema.weights.h5")
        arrays: dict[str, Any] = _optimizer_arrays(trainer) | _random_arrays(trainer.model)
        np.savez(folder / "state.npz", **arrays)
        return {
            "model": store.name,
            "epoch": trainer.epoch,
            "settings": dict(settings),
            "elapsed_seconds": trainer.elapsed,
            "loss_scale": [trainer.loss_scale.value, trainer.loss_scale.good_updates],
            "hooks": {type(hook).__name__: hook.state() for hook in trainer.hooks},
        }

    return store.write(trainer.step, fill, score)


def restore_state(trainer: Trainer, folder: Path, load_weights: WeightsFile) -> None:
    """Takes up the state of a checkpoint. Raises `InputError` where it is of another network or optimizer."""
    meta = read_meta(folder)
    load_weights(trainer.model, folder / "model.weights.h5")
    if trainer.ema_model is not None:
        ema = folder / "ema.weights.h5"
        load_weights(trainer.ema_model, ema if ema.exists() else folder / "model.weights.h5")
    try:
        with np.load(folder / "state.npz") as arrays:
            arrays = dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read {folder / 'state.npz'}: {error}") from error
    _restore_optimizer(trainer, arrays, folder)
    _restore_random(trainer.model, arrays)
    trainer.step = meta["step"]
    trainer.elapsed_before = meta["elapsed_seconds"]
    trainer.loss_scale.value, trainer.loss_scale.good_updates = meta["loss_scale"]
    for hook in trainer.hooks:
        if type(hook).__name__ in meta["hooks"]:
            hook.restore(meta["hooks"][type(hook).__name__])


def _optimizer_arrays(trainer: Trainer) -> dict[str, np.ndarray]:
    optimizer = trainer.optimizer
    arrays = {"optimizer/counts": optimizer.counts.numpy()}
    for slot, variables in optimizer.slots.items():
        arrays |= {f"optimizer/{slot}/{index}": variable.numpy() for index, variable in enumerate(variables)}
    return arrays


def _restore_optimizer(trainer: Trainer, arrays: dict[str, np.ndarray], folder: Path) -> None:
    optimizer = trainer.optimizer
    expected = {name: array.shape for name, array in _optimizer_arrays(trainer).items()}
    found = {name: array.shape for name, array in arrays.items() if name.startswith("optimizer/")}
    if expected != found:
        raise InputError(
            f"{folder} is of another network or optimizer than the configured one; continue with the "
            "configuration that it was trained with, or begin another run with its weights"
        )
    optimizer.counts.assign(arrays["optimizer/counts"])
    for slot, variables in optimizer.slots.items():
        for index, variable in enumerate(variables):
            variable.assign(arrays[f"optimizer/{slot}/{index}"])


def _random_arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """The states of Python's and NumPy's generators and of the model's own (dropout and the like)."""
    version, words, gauss = random.getstate()
    state: Any = np.random.get_state()
    _, key, position, has_gauss, cached = state
    arrays = {
        "random/python": np.array(words, np.uint64),
        "random/python_gauss": np.array([version, gauss is not None, gauss or 0.0]),
        "random/numpy": key,
        "random/numpy_position": np.array([position, has_gauss, cached]),
    }
    return arrays | {f"random/model/{i}": v.numpy() for i, v in enumerate(_seed_variables(model))}


def _restore_random(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    version, has_gauss, gauss = arrays["random/python_gauss"].tolist()
    words = tuple(arrays["random/python"].tolist())
    random.setstate((int(version), words, gauss if has_gauss else None))
    position, has_gauss, cached = arrays["random/numpy_position"].tolist()
    np.random.set_state(("MT19937", arrays["random/numpy"], int(position), int(has_gauss), cached))
    for index, variable in enumerate(_seed_variables(model)):
        variable.assign(arrays[f"random/model/{index}"])


def _seed_variables(model: keras.Model) -> list[keras.Variable]:
    return [v for v in model.non_trainable_variables if not v.dtype.startswith("float")]
