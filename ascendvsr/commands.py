"""From the parsed arguments of a command to its work: the configuration, and the network in a checkpoint."""

import argparse
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from yacs.config import CfgNode

from ascendcv.runner.backend import start_backend
from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import import_tensorflow
from ascendvsr.config.changes import changed, valued
from ascendvsr.config.loading import load_config, save_config
from ascendvsr.config.of_run import OF_THE_MACHINE, config_of_run, run_of
from ascendvsr.models import card_named
from ascendvsr.models.card import Card
from ascendvsr.models.detect import check_matches, describe, detect
from ascendvsr.models.implementations import check_implementation
from ascendvsr.scaling.parts import read_part
from ascendvsr.scaling.sharing import parts_for, run_parts
from ascendvsr.scaling.tasks import read_engine
from ascendvsr.weights.commands import weights_file
from ascendvsr.weights.reader import read_checkpoint

# What `restore` takes without weights, and published ones that are better and slower.
SHIPPED = "edvr_tiny_x4"
SHARPER = ("edvr_m_x4_reds", "basicvsr_x4_reds", "rvrt_001_reds")

# What exported networks end in -> the runtime that computes them.
_RUNTIMES_OF = {".onnx": "onnxruntime", ".xml": "openvino", ".tflite": "litert"}

if TYPE_CHECKING:
    import keras

    from ascendvsr.models.keras_runner import KerasRunner
    from ascendvsr.restoration.runner import Runner
    from ascendvsr.restoration.runtimes import Exported


def train(arguments: argparse.Namespace) -> None:
    """The command `train`."""
    from ascendvsr.training.run import train

    cfg = _config(arguments)
    weights_file(cfg.init_from, yes=arguments.yes)
    train(cfg)


def lrfinder(arguments: argparse.Namespace) -> None:
    """The command `lrfinder`."""
    from ascendvsr.training.lrfinder import lrfinder

    lrfinder(_config(arguments))


def cost(arguments: argparse.Namespace) -> None:
    """The command `cost`."""
    from ascendvsr.deployment.cost import cost

    height, width = arguments.size
    cost(_config(arguments), height, width, memory=arguments.memory)


def doctor(arguments: argparse.Namespace) -> None:
    """The command `doctor`."""
    import_tensorflow()
    from ascendcv.ops import bench, doctor

    try:
        print("\n".join(doctor.report()))
    except ArithmeticError as error:
        raise RuntimeError(str(error)) from error
    if arguments.bench:
        print("\n".join(bench.report()))


def evaluate(arguments: argparse.Namespace) -> dict | None:
    """The command `eval`."""
    from ascendvsr.evaluation.evaluate import evaluate, merge_parts

    part, engine = read_part(arguments.part), read_engine(arguments.cluster, arguments.devices)
    trained = _restoring(_trained(arguments))
    if engine:
        from ascendvsr.datasets import evaluation_clips

        count = parts_for(engine, len(evaluation_clips(trained.cfg)))
        merge_parts(trained.cfg, run_parts("ascendvsr.commands:evaluate", arguments, count, engine))
        return None
    return evaluate(trained.cfg, trained.card, functools.partial(_kept_runner, arguments, trained), part)


_kept: "dict[str, KerasRunner]" = {}


def _kept_runner(arguments: argparse.Namespace, trained: "Trained") -> "KerasRunner":
    """The runner; in a worker of a cluster, which does one part after the other, the one of the part before."""
    if not getattr(arguments, "keeps_network", False):
        return trained.runner()
    key = json.dumps(vars(arguments) | {"part": None}, sort_keys=True, default=str)
    if key not in _kept:
        _kept.clear()
        _kept[key] = trained.runner(notes_config=False)
    return _kept[key]


def evaluate_or_score(arguments: argparse.Namespace) -> None:
    """The command `evaluate`: `eval` where weights are named, else the scores of what was restored before."""
    if arguments.checkpoint or "checkpoint" in arguments.settings[::2]:
        if arguments.merge or arguments.measures or arguments.flow or arguments.scores_to:
            raise InputError("with --checkpoint, evaluate is eval: no --measures, --flow, --merge and --output")
        _take_paths_as_settings(arguments)
        evaluate(arguments)
        return
    for option in ("weights", "sigma", "lq", "gt", "tile", "tile_overlap"):
        if getattr(arguments, option, None):
            name = option.replace("_", "-")
            raise InputError(f"--{name} is of a restoration: evaluate takes it with --checkpoint WEIGHTS")
    if arguments.merge:
        _take_paths_as_settings(arguments)
    from ascendvsr.evaluation.scores import evaluate as score

    score(arguments, _config(arguments))


def _take_paths_as_settings(arguments: argparse.Namespace) -> None:
    """The first KEY VALUE pair of a command line without paths stands where these would."""
    words = [word for word in (arguments.restored, arguments.truth) if word is not None]
    if len(words) % 2:
        raise InputError(f"settings come as KEY VALUE pairs; {words[-1]!r} has no value")
    arguments.settings = words + arguments.settings


def inference(arguments: argparse.Namespace) -> None:
    """The command `inference`."""
    from ascendvsr.restoration.inference import inference

    trained = _restoring(_trained(arguments))
    inference(trained.cfg, trained.card, trained.runner)


def restore(arguments: argparse.Namespace) -> None:
    """The command `restore`."""
    arguments.inputs += arguments.lq
    if not arguments.inputs:
        raise InputError("name what to restore: `ascendvsr restore clip.mp4`, or a folder of frames")
    from ascendvsr.restoration.command import restore_clips

    restore_clips(arguments, *restorer(arguments))


def restorer(arguments: argparse.Namespace) -> "tuple[CfgNode, Card, Callable[[], Runner], Exported | None]":
    """What `restore` computes with: settings, card, what gives the runner, the exported network if it is one."""
    if arguments.runtime:
        return _session(arguments)
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
    return trained.cfg, trained.card, functools.partial(trained.runner, notes_config=False), None


def _session(arguments: argparse.Namespace) -> "tuple[CfgNode, Card, Callable[[], Runner], Exported | None]":
    """`restore --runtime`: an exported network in its runtime, without TensorFlow."""
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
    return cfg, exported.card, load, exported


def verify(arguments: argparse.Namespace) -> None:
    """The command `verify`."""
    from ascendvsr.evaluation.verify import verify

    verify(arguments, lambda changed_arguments: _restoring(_trained(changed_arguments, by_its_run=False)))


def convert(arguments: argparse.Namespace) -> None:
    """The command `convert`: the weights of a checkpoint, in the file that another program reads."""
    from ascendvsr.weights.reader import check_ending

    check_ending(arguments.out)
    trained = _trained(arguments, by_its_run=False)
    model = trained.model(notes_config=False)
    from ascendvsr.weights.mapping import save_weights

    save_weights(model, arguments.out)
    print(f"{trained.description}: written to {arguments.out}")


def freeze(arguments: argparse.Namespace) -> None:
    """The command `freeze`."""
    from ascendvsr.deployment.export import freeze

    trained = _trained(arguments)
    if trained.cfg.eval.precision != "float32":
        raise InputError("eval.precision is for eval and inference: frozen graphs compute in float32")
    for line in _frozen_as(trained.cfg):
        print(line)
    freeze(trained.cfg, trained.card, trained.model)


def export(arguments: argparse.Namespace) -> None:
    """The command `export`."""
    from ascendvsr.deployment import command

    if arguments.check:
        if not command.check_compiler(arguments.check):
            _compare_exported(arguments, *command.checked_file(arguments.check))
        return
    request = command.requested(arguments)
    if arguments.folder:
        arguments.settings += ["output_dir", arguments.folder]
    trained = _trained(arguments)
    if trained.cfg.eval.precision != "float32":
        raise InputError("eval.precision is for eval and inference: exported files compute in float32")
    request.write(trained.cfg, trained.card, functools.partial(trained.model, notes_config=False))


def _compare_exported(arguments: argparse.Namespace, path: Path, metadata: dict) -> None:
    """`export --check FILE`: what the file was made of, again. Without `--checkpoint` it is looked for by name."""
    from ascendvsr.deployment.command import compare_file
    from ascendvsr.models.zoo import records

    if not arguments.checkpoint and "checkpoint" not in arguments.settings[::2]:
        file = metadata["checkpoint"]["file"]
        names = [record.name for record in records() if record.file == file]
        if not names:
            raise InputError(f"{path} was exported from {file or 'a model in memory'}: name it with --checkpoint")
        arguments.settings += ["checkpoint", names[0]]
    told = metadata["settings"] | {"model.name": metadata["network"]}
    arguments.settings = [word for key, value in told.items() for word in (key, str(value))] + arguments.settings
    trained = _trained(arguments)
    compare_file(path, metadata, trained.cfg, trained.card, functools.partial(trained.model, notes_config=False))


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

    def model(self, notes_config: bool = True, any_backend: bool = False) -> "keras.Model":
        """The model with its weights; call it once all that was given has been checked.

        `notes_config`: write the configuration into `output_dir`. `any_backend`: it computes with what
        KERAS_BACKEND names, else with TensorFlow.
        """
        if not any_backend:
            import_tensorflow()
        cfg = self.cfg
        start_backend(cfg.device, cfg.device_ids, cfg.num_threads)
        from ascendcv.layers.precision import computing_in
        from ascendvsr.models.builder import build_model
        from ascendvsr.weights.mapping import load_state_dict

        with computing_in(cfg.eval.precision):
            model = build_model(cfg)
        load_state_dict(model, self.weights, source=cfg.checkpoint)
        if notes_config:
            time = datetime.now().strftime("%Y%m%dT%H%M%S")
            save_config(cfg, Path(cfg.output_dir) / "config" / f"{cfg.mode}-{time}.yaml")
        return model

    def runner(self, notes_config: bool = True) -> "KerasRunner":
        """The model as what restoration and evaluation compute with."""
        model = self.model(notes_config, any_backend=True)
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
    found = read_checkpoint(source, cfg.weights)
    if found.words:
        print(f"{source}: taking {found.words}", file=sys.stderr)
    weights = found.arrays
    architecture = detect(weights, source, cfg if named else None)
    given = arguments.settings[::2]
    told = {} if named else {key: value for key, value in architecture.settings.items() if key not in given}
    cfg = changed(cfg, told | {"checkpoint": source})
    check_matches(cfg, architecture, source)
    card = card_named(cfg.model.name)
    card.arguments(cfg)
    check_implementation(cfg, card)
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
