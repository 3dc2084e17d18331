"""The command `ascendvsr`: reads the command line, checks what was given and calls what does the work.

Exit status: 0 done; 2 bad input, said in one line; 1 any other failure; 130 or 143 stopped by a signal.
"""

import argparse
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from ascendcv.utils.errors import InputError
from ascendcv.utils.quiet import import_tensorflow

USAGE = """usage: ascendvsr COMMAND [options] [KEY VALUE ...]
       python tools/main.py [options] mode COMMAND [KEY VALUE ...]

commands:
  train      train a network by the recipe of a configuration file
  lrfinder   try rising learning rates on that recipe and suggest one
  eval       PSNR and SSIM of a checkpoint on a data set with ground truth
  inference  restore a folder of frames, a folder of such folders, or a video
  freeze     write a frozen graph and a SavedModel, and check that they equal the network
  flow       estimate the optical flow between two frames
  cost       count parameters and operations, and measure memory
  doctor     tell which implementation serves each operation here, and why

`ascendvsr COMMAND --help` tells the options. KEY VALUE pairs change any setting of
ascendvsr/config/defaults.py, as in `solver.lr_schedule.base_lr 1e-4`."""

DESCRIPTIONS = {
    "train": "Train a network by the recipe of a configuration file.",
    "lrfinder": "Train with a rising learning rate, solver.lr_finder, and suggest one; writes the curve.",
    "eval": "Report PSNR and SSIM of a checkpoint on the evaluation set; writes metrics.json and .csv.",
    "inference": "Restore frames. Every input frame gives an output frame; no ground truth is needed.",
    "freeze": "Write a frozen graph and a SavedModel of a checkpoint, load both and compare them.",
    "cost": "Count a network's parameters and multiply-accumulate operations; writes cost.txt.",
    "doctor": "Tell which implementation serves each operation here, and why. Compiles the kernels if need be.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if argv else 2
    try:
        signal.signal(signal.SIGTERM, _stop)
        if argv[0] == "flow":  # which has arguments of its own
            from ascendvsr.restoration.flow import main as flow

            return flow(argv[1:])
        command, arguments = _parse(argv)
        COMMANDS[command](arguments)
    except InputError as error:
        print(f"ascendvsr: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ascendvsr: stopped", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"ascendvsr: {error}", file=sys.stderr)
        return 1
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        print(f"ascendvsr: {error}", file=sys.stderr)
        return 1
    return 0


def _stop(*_: object) -> None:
    """SIGTERM ends a command as an exception does, so that threads end and temporary files go."""
    raise SystemExit(143)


def _parse(argv: list[str]) -> tuple[str, argparse.Namespace]:
    """The command and its arguments; the command may also be the value of the key `mode`."""
    if argv[0] not in COMMANDS and "mode" not in argv:
        raise InputError(f"no such command: {argv[0]!r}; there are {', '.join(sorted([*COMMANDS, 'flow']))}")
    command = argv.pop(0) if argv[0] in COMMANDS else None
    parser = argparse.ArgumentParser(
        prog=f"ascendvsr {command}" if command else "main.py",
        description=DESCRIPTIONS.get(command),
        epilog="KEY VALUE pairs change settings: see ascendvsr/config/defaults.py.",
        allow_abbrev=False,
    )
    parser.add_argument("--config-file", "--config", metavar="YAML", help="settings; see configs/")
    _add_options(parser, command)
    parser.add_argument("settings", nargs="*", metavar="KEY VALUE", help="settings that differ")
    arguments = parser.parse_intermixed_args(argv)
    if len(arguments.settings) % 2:
        raise InputError(f"settings come as KEY VALUE pairs; {arguments.settings[-1]!r} has no value")
    pairs = dict(zip(arguments.settings[::2], arguments.settings[1::2], strict=True))
    if command is None:
        command = pairs.get("mode")
        if command not in COMMANDS:
            raise InputError(f"mode is {command!r}; it should be one of: {', '.join(COMMANDS)}")
    for option, key in _OPTION_KEYS.items():
        if getattr(arguments, option, None) is not None:
            arguments.settings += [key, getattr(arguments, option)]
    arguments.settings += ["mode", command]
    return command, arguments


# option -> the key that it sets
_OPTION_KEYS = {
    "checkpoint": "checkpoint",
    "input": "inference.input",
    "output": "inference.output",
    "sigma": "inference.sigma",
    "protocol": "eval.protocol",
}


def _add_options(parser: argparse.ArgumentParser, command: str | None) -> None:
    """The options of a command beside `--config-file`; of all where the key `mode` will name it."""
    if command in (None, "eval", "inference", "freeze"):
        text = "weights: .pth, .safetensors, .npz, .h5, EDVR-<step>; or best, latest, epoch:N in output_dir"
        parser.add_argument("--checkpoint", metavar="PATH", help=text)
    if command in (None, "inference"):
        parser.add_argument("--input", metavar="PATH", help="a folder of frames, of such folders, or a video")
        parser.add_argument("--output", metavar="PATH", help="a folder, or a video file (.mp4)")
    if command in (None, "eval", "inference"):
        parser.add_argument("--sigma", metavar="LEVEL", help="deviation of the noise, of 255, that RVRT is told of")
    if command in (None, "eval"):
        parser.add_argument("--protocol", metavar="NAME", help="whose measure: see eval.protocol in the defaults")
    if command in (None, "cost"):
        parser.add_argument(
            "--size", nargs=2, type=int, default=(720, 1280), metavar=("H", "W"), help="of the frames; 720 1280"
        )
        parser.add_argument("--memory", action="store_true", help="measure one call's memory too, in a process")


def _train(arguments: argparse.Namespace) -> None:
    from ascendvsr.config import load_config
    from ascendvsr.training.run import train

    train(load_config(arguments.config_file, arguments.settings))


def _lrfinder(arguments: argparse.Namespace) -> None:
    from ascendvsr.config import load_config
    from ascendvsr.training.lrfinder import lrfinder

    lrfinder(load_config(arguments.config_file, arguments.settings))


def _cost(arguments: argparse.Namespace) -> None:
    from ascendvsr.config import load_config
    from ascendvsr.deployment.cost import cost

    cost(load_config(arguments.config_file, arguments.settings), *arguments.size, memory=arguments.memory)


def _doctor(arguments: argparse.Namespace) -> None:
    import_tensorflow()
    from ascendcv.ops.doctor import report

    print("\n".join(report()))


def _with_checkpoint(work: str) -> Callable[[argparse.Namespace], None]:
    """A command that works on the network in a checkpoint: `work` is its function, 'module:name'."""

    def command(arguments: argparse.Namespace) -> None:
        from ascendvsr.config import load_config, save_config
        from ascendvsr.weights.architecture import FLOW_NETWORKS
        from ascendvsr.weights.detect import check_matches, describe, detect
        from ascendvsr.weights.reader import load_checkpoint

        named = arguments.config_file is not None  # whether a file says which network it is
        config = load_config(arguments.config_file, arguments.settings)
        if not config.checkpoint:
            raise InputError("no weights given: name a file or a run's folder with --checkpoint")
        arguments.settings += ["checkpoint", _checkpoint_path(config, config.model.name if named else "")]
        config = load_config(arguments.config_file, arguments.settings)
        state_dict = load_checkpoint(config.checkpoint)
        architecture = detect(state_dict, config.checkpoint, config if named else None)
        if not named:
            config = load_config(None, arguments.settings, settings=architecture.settings)
        check_matches(config, architecture, config.checkpoint)
        if config.model.name in FLOW_NETWORKS and config.mode in ("eval", "inference"):
            raise InputError(
                f"{config.checkpoint} is {describe(architecture)}, which estimates motion and restores nothing: "
                "`ascendvsr flow` uses it"
            )

        if config.mode == "freeze" and config.eval.precision != "float32":
            raise InputError("eval.precision is for eval and inference: frozen graphs compute in float32")

        def network():
            """The model with its weights; called once all that was given has been checked."""
            import_tensorflow()
            from ascendcv.layers.precision import computing_in
            from ascendcv.runner.device import prepare_devices
            from ascendvsr.models.builder import build_model
            from ascendvsr.weights.mapping import load_state_dict

            prepare_devices(config.device, config.device_ids, num_threads=config.num_threads)
            with computing_in(config.eval.precision):
                model = build_model(config)
            load_state_dict(model, state_dict, source=config.checkpoint)
            time = datetime.now().strftime("%Y%m%dT%H%M%S")
            save_config(config, Path(config.output_dir) / "config" / f"{config.mode}-{time}.yaml")
            return model

        module, name = work.split(":")
        getattr(importlib.import_module(module), name)(config, network)

    return command


def _checkpoint_path(config, name: str) -> str:
    """The path that `checkpoint` means: itself, or that of a checkpoint in output_dir (of the network `name`)."""
    which = config.checkpoint
    if which not in ("best", "latest") and not which.startswith("epoch:"):
        return which
    from ascendcv.runner.checkpoint import find_checkpoint

    return str(find_checkpoint(config.output_dir, which, name, lowest=config.solver.best_is == "lowest"))


COMMANDS = {
    "train": _train,
    "lrfinder": _lrfinder,
    "cost": _cost,
    "eval": _with_checkpoint("ascendvsr.evaluation.evaluate:evaluate"),
    "inference": _with_checkpoint("ascendvsr.restoration.restore:inference"),
    "freeze": _with_checkpoint("ascendvsr.deployment.export:freeze"),
    "doctor": _doctor,
}
