"""From the parsed arguments of a command to its work: the configuration, and the network in a checkpoint."""

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config.changes import changed, valued
from ascendvsr.config.loading import load_config, save_config
from ascendvsr.config.of_run import OF_THE_MACHINE, config_of_run, run_of
from ascendvsr.models import card_named
from ascendvsr.models.card import Card
from ascendvsr.models.detect import check_matches, describe, detect
from ascendvsr.weights.commands import weights_file
from ascendvsr.weights.reader import load_checkpoint

# What `restore` takes without weights, and published ones that are better and slower.
SHIPPED = "edvr_tiny_x4"
SHARPER = ("edvr_m_x4_reds", "basicvsr_x4_reds", "rvrt_001_reds")

# What exported networks end in -> the runtime that computes them.
_RUNTIMES_OF = {".onnx": "onnxruntime", ".xml": "openvino", ".tflite": "litert"}

if TYPE_CHECKING:
    import keras

    from ascendvsr.models.keras_runner import KerasRunner


def train(arguments: argparse.Namespace) -> None:
    """The command `train`."""
    from ascendvsr.training.run import train

    train(_config(arguments))


def lrfinder(arguments: argparse.Namespace) -> None:
    """The command `lrfinder`."""
    from ascendvsr.training.lrfinder import lrfinder

    lrfinder(_config(arguments))


def cost(arguments: argparse.Namespace) -> None:
    """The command `cost`."""
    from ascendvsr.deployment.cost import cost

    cost(_config(arguments), *arguments.size, memory=arguments.memory)


def doctor(arguments: argparse.Namespace) -> None:
    """The command `doctor`."""
    import_tensorflow()
    from ascendcv.ops.doctor import report

    print("\n".join(report()))


def evaluate(arguments: argparse.Namespace) -> None:
    """The command `eval`."""
    from ascendvsr.evaluation.evaluate import evaluate

    trained = _restoring(_trained(arguments))
    evaluate(trained.cfg, trained.card, trained.runner)


def inference(arguments: argparse.Namespace) -> None:
    """The command `inference`."""
    from ascendvsr.restoration.inference import inference

    trained = _restoring(_trained(arguments))
    inference(trained.cfg, trained.card, trained.runner)


def restore(arguments: argparse.Namespace) -> None:
    """The command `restore`."""
    from ascendvsr.restoration.command import restore_clips

    if arguments.runtime:
        _restore_by_session(arguments)
        return
    if (suffix := Path(arguments.checkpoint or "").suffix.lower()) in _RUNTIMES_OF:
        raise InputError(f"{arguments.checkpoint} is an exported network: say --runtime {_RUNTIMES_OF[suffix]}")
    if not arguments.checkpoint and "checkpoint" not in arguments.settings[::2]:
        arguments.settings += ["checkpoint", SHIPPED]
        print(
            f"no weights given: taking {SHIPPED}, which ships. Sharper and slower: {', '.join(SHARPER)} "
            "(`ascendvsr models x4`; `--checkpoint NAME` downloads)",
            file=sys.stderr,
        )
    trained = _restoring(_trained(arguments, by_its_run=False))
    restore_clips(arguments, trained.cfg, trained.card, functools.partial(trained.runner, notes_config=False))


def _restore_by_session(arguments: argparse.Namespace) -> None:
    """`restore --runtime`: an exported network in its runtime, without TensorFlow."""
    from ascendvsr.restoration.command import restore_clips
    from ascendvsr.restoration.runtimes import read_exported

    cfg = _config(arguments)
    if not cfg.checkpoint:
        raise InputError("--runtime computes an exported network: name its file with --model")
    if cfg.device not in ("auto", "cpu"):
        raise InputError(f"--runtime computes on the processors: device cannot be {cfg.device}")
    exported = read_exported(cfg.checkpoint, arguments.runtime)
    cfg = exported.configured(cfg)
    if not exported.card.restores:
        raise InputError(f"{exported.path} is {exported.card.title}, which estimates motion and restores nothing")
    load = functools.partial(exported.runner, threads=cfg.num_threads, precision=cfg.eval.precision)
    restore_clips(arguments, cfg, exported.card, load, exported)


def verify(arguments: argparse.Namespace) -> None:
    """The command `verify`."""
    from ascendvsr.evaluation.verify import verify

    verify(arguments, lambda changed_arguments: _restoring(_trained(changed_arguments, by_its_run=False)))


def freeze(arguments: argparse.Namespace) -> None:
    """The command `freeze`."""
    from ascendvsr.deployment.export import freeze

    trained = _trained(arguments)
    if trained.cfg.eval.precision != "float32":
        raise InputError("eval.precision is for eval and inference: frozen graphs compute in float32")
    for line in _frozen_as(trained.cfg):
        print(line)
    freeze(trained.cfg, trained.card, trained.model)


def _frozen_as(cfg: CfgNode) -> list[str]:
    """What a frozen graph takes and gives, and which settings would change that."""
    batch, model = cfg.data.eval_batch_size, cfg.model
    windows = "any number of windows (data.eval_batch_size 1 fixes it)"
    if batch != -1:
        windows = f"{batch} window{'s' if batch > 1 else ''} (data.eval_batch_size -1: any number)"
    folded = "[N*T,H,W,C], the frames of a window one after the other (model.input_format_dimension 5: [N,T,H,W,C])"
    if model.input_format_dimension == 5:
        folded = "[N,T,H,W,C] (model.input_format_dimension 4: [N*T,H,W,C], frames folded into the batch)"
    levels = "uint8 (model.convert_output_to_uint8 False: float32 as the network gives it)"
    if not model.convert_output_to_uint8:
        levels = "float32 as the network gives it (model.convert_output_to_uint8 True: uint8)"
    return [f"batch: {windows}", f"input: {folded}", f"output: {levels}"]


@dataclass(frozen=True)
class Trained:
    """The network in a checkpoint, recognized and not yet built, and the configuration of what to do with it."""

    cfg: CfgNode
    card: Card
    weights: dict[str, np.ndarray]
    description: str

    def model(self, notes_config: bool = True) -> "keras.Model":
        """The model with its weights; call it once all that was given has been checked.

        `notes_config`: write the configuration into `output_dir`.
        """
        import_tensorflow()
        from ascendcv.layers.precision import computing_in
        from ascendcv.runner.device import prepare_devices
        from ascendvsr.models.builder import build_model
        from ascendvsr.weights.mapping import load_state_dict

        cfg = self.cfg
        prepare_devices(cfg.device, cfg.device_ids, num_threads=cfg.num_threads)
        with computing_in(cfg.eval.precision):
            model = build_model(cfg)
        load_state_dict(model, self.weights, source=cfg.checkpoint)
        if notes_config:
            time = datetime.now().strftime("%Y%m%dT%H%M%S")
            save_config(cfg, Path(cfg.output_dir) / "config" / f"{cfg.mode}-{time}.yaml")
        return model

    def runner(self, notes_config: bool = True) -> "KerasRunner":
        """The model as what restoration and evaluation compute with."""
        model = self.model(notes_config)
        from ascendvsr.models.keras_runner import KerasRunner

        return KerasRunner(model, self.card)


def _config(arguments: argparse.Namespace) -> CfgNode:
    return load_config(arguments.config_file, arguments.settings)


def _trained(arguments: argparse.Namespace, by_its_run: bool = True) -> Trained:
    """What the setting `checkpoint` names.

    Without a file of settings, those of a checkpoint in a run's folder are the run's own, and results go there,
    where it is used `by_its_run`. Else the network is what its weights tell.
    """
    cfg = _config(arguments)
    if not cfg.checkpoint:
        raise InputError("no weights given: name a file or a run's folder with --checkpoint")
    named = arguments.config_file is not None
    if by_its_run and not named and (own := _config_of_run(cfg, arguments.settings)):
        cfg, named = own, True
    source = _checkpoint_path(cfg, cfg.model.name if named else "")
    source = weights_file(source, yes=getattr(arguments, "yes", False))
    weights = load_checkpoint(source)
    architecture = detect(weights, source, cfg if named else None)
    given = arguments.settings[::2]
    told = {} if named else {key: value for key, value in architecture.settings.items() if key not in given}
    cfg = changed(cfg, told | {"checkpoint": source})
    check_matches(cfg, architecture, source)
    card = card_named(cfg.model.name)
    card.arguments(cfg)
    return Trained(cfg, card, weights, describe(architecture))


def _config_of_run(cfg: CfgNode, settings: Sequence[str]) -> CfgNode | None:
    """The configuration of the run that `checkpoint` is of, changed by the command line's; None: there is none."""
    run = Path(cfg.output_dir) if _is_of_output_dir(cfg) else run_of(cfg.checkpoint)
    file = run and config_of_run(run)
    if not file:
        return None
    kept = {key: valued(cfg, key) for key in OF_THE_MACHINE}
    if "output_dir" not in settings[::2]:
        kept["output_dir"] = str(run)
    print(f"{cfg.checkpoint} is of the run in {run}: settings are those of {file}, and results go to {run}")
    return changed(load_config(file, settings), kept)


def _is_of_output_dir(cfg: CfgNode) -> bool:
    """Whether `checkpoint` names one in output_dir: by what it is, or by its bare name."""
    which = cfg.checkpoint
    if which in ("best", "latest") or which.startswith(("epoch:", "step:")):
        return True
    return Path(which).name == which and not os.path.exists(which) and Path(cfg.output_dir, which).exists()


def _restoring(trained: Trained) -> Trained:
    """Raises `InputError` for a network that restores nothing."""
    if not trained.card.restores:
        raise InputError(
            f"{trained.cfg.checkpoint} is {trained.description}, which estimates motion and restores nothing: "
            "`ascendvsr flow` uses it"
        )
    return trained


def _checkpoint_path(cfg: CfgNode, name: str) -> str:
    """The path that `checkpoint` means: itself, or that of a checkpoint in output_dir (of the network `name`)."""
    from ascendcv.runner.checkpoint import find_checkpoint

    if not _is_of_output_dir(cfg):
        is_run = run_of(cfg.checkpoint) == Path(cfg.checkpoint)
        return str(find_checkpoint(cfg.checkpoint, "latest", name)) if is_run else cfg.checkpoint
    if Path(cfg.output_dir, cfg.checkpoint).exists():
        return str(Path(cfg.output_dir, cfg.checkpoint))
    return str(find_checkpoint(cfg.output_dir, cfg.checkpoint, name, lowest=cfg.solver.best_is == "lowest"))
