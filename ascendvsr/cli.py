"""The command `ascendvsr`: reads the command line and calls what does the work.

Exit status: 0 done; 2 bad input, said in one line; 1 any other failure; 130 or 143 stopped by a signal.
"""

import argparse
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ascendcv.utils.errors import InputError

EPILOG = """`ascendvsr COMMAND --help` tells the options of a command. KEY VALUE pairs change any setting,
as in `solver.lr_schedule.base_lr 1e-4`. The same program of old is
`python tools/main.py [options] mode COMMAND [KEY VALUE ...]`."""


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        summary: what it does, in a line.
        work: 'module:function' of the parsed arguments, imported when it runs.
        description: more of it; '': the summary says all.
        options: adds what only this command takes.
        has_config: whether `--config` names a file of settings.
    """

    summary: str
    work: str
    description: str = ""
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    has_config: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        signal.signal(signal.SIGTERM, _stop)
        command, arguments = _parse(argv)
        module, name = COMMANDS[command].work.split(":")
        getattr(importlib.import_module(module), name)(arguments)
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
    if not argv or argv[0] in ("-h", "--help", "help"):
        _parser()[0].print_help(sys.stdout if argv else sys.stderr)
        raise SystemExit(0 if argv else 2)
    if argv[0] in COMMANDS:
        command, *rest = argv
    elif "mode" in argv:
        at = len(argv) - 1 - argv[::-1].index("mode")
        command, rest = "".join(argv[at + 1 : at + 2]), argv[:at] + argv[at + 2 :]
        if command not in COMMANDS:
            raise InputError(f"mode is {command!r}; it should be one of: {', '.join(COMMANDS)}")
    else:
        raise InputError(f"no such command: {argv[0]!r}; there are {', '.join(sorted(COMMANDS))}")
    # The parser of the command by itself: options and KEY VALUE pairs may stand in any order.
    arguments = _parser(command)[1].parse_intermixed_args(rest)
    if len(arguments.settings) % 2:
        raise InputError(f"settings come as KEY VALUE pairs; {arguments.settings[-1]!r} has no value")
    for option, key in _OPTION_KEYS.items():
        if getattr(arguments, option, None) is not None:
            arguments.settings += [key, getattr(arguments, option)]
    arguments.settings += ["mode", command]
    return command, arguments


def _parser(command: str = "") -> tuple[argparse.ArgumentParser, argparse.ArgumentParser | None]:
    """The parser of the whole program, for its help, and that of one command."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="ascendvsr", usage="ascendvsr COMMAND [options] [KEY VALUE ...]", epilog=EPILOG, formatter_class=layout
    )
    parsers = parser.add_subparsers(title="commands", metavar="COMMAND", prog="ascendvsr")
    for name, entry in COMMANDS.items():
        own = parsers.add_parser(
            name, help=entry.summary, description=entry.description or entry.summary, allow_abbrev=False
        )
        if name == command:
            entry.options(own)
            if entry.has_config:
                own.add_argument("--config", "--config-file", dest="config_file", metavar="YAML", help="settings")
            own.add_argument("settings", nargs="*", metavar="KEY VALUE", help="settings that differ")
    return parser, parsers.choices.get(command)


# option -> the key that it sets
_OPTION_KEYS = {
    "checkpoint": "checkpoint",
    "input": "inference.input",
    "output": "inference.output",
    "sigma": "inference.sigma",
    "protocol": "eval.protocol",
}


def _checkpoint(parser: argparse.ArgumentParser) -> None:
    text = "weights: .pth, .safetensors, .npz, .h5, EDVR-<step>; or best, latest, epoch:N in output_dir"
    parser.add_argument("--checkpoint", metavar="PATH", help=text)


def _sigma(parser: argparse.ArgumentParser) -> None:
    text = "standard deviation of the noise, of 255, that a denoising network is told"
    parser.add_argument("--sigma", metavar="LEVEL", help=text)


def _eval_options(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    _sigma(parser)
    parser.add_argument("--protocol", metavar="NAME", help="whose measure: see the setting eval.protocol")


def _inference_options(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    parser.add_argument("--input", metavar="PATH", help="a folder of frames, of such folders, or a video")
    parser.add_argument("--output", metavar="PATH", help="a folder, or a video file (.mp4)")
    _sigma(parser)


def _cost_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size", nargs=2, type=int, default=(720, 1280), metavar=("H", "W"), help="of the frames; 720 1280"
    )
    parser.add_argument("--memory", action="store_true", help="measure one call's memory too, in a process")


def _flow_options(parser: argparse.ArgumentParser) -> None:
    from ascendvsr.models import FLOW_NAMES

    parser.add_argument("first", metavar="A", help="an image: the frame that the flow begins in")
    parser.add_argument("second", metavar="B", help="an image of the same size: the frame that it leads to")
    parser.add_argument("out", metavar="OUT", help="where results go: the beginning of their names")
    parser.add_argument("--model", required=True, choices=FLOW_NAMES, help="the flow network")
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="PATH",
        help="its weights, or those of a restoring network that has it; which PWC-Net it is, they tell",
    )


COMMANDS = {
    "train": Command("train a network by the recipe of a configuration file", "ascendvsr.commands:train"),
    "lrfinder": Command(
        "try rising learning rates on that recipe and suggest one",
        "ascendvsr.commands:lrfinder",
        "Train with a rising learning rate, solver.lr_finder, and suggest one; writes the curve.",
    ),
    "eval": Command(
        "PSNR and SSIM of a checkpoint on a data set with ground truth",
        "ascendvsr.commands:evaluate",
        "Report PSNR and SSIM of a checkpoint on the evaluation set; writes metrics.json and .csv.",
        _eval_options,
    ),
    "inference": Command(
        "restore a folder of frames, a folder of such folders, or a video",
        "ascendvsr.commands:inference",
        "Restore frames. Every input frame gives an output frame; no ground truth is needed.",
        _inference_options,
    ),
    "freeze": Command(
        "write a frozen graph and a SavedModel, and check that they equal the network",
        "ascendvsr.commands:freeze",
        "Write a frozen graph and a SavedModel of a checkpoint, load both and compare them.",
        _checkpoint,
    ),
    "flow": Command(
        "estimate the optical flow between two frames",
        "ascendvsr.restoration.flow:flow",
        "Estimate the optical flow from frame A to frame B. Writes OUT.flo, OUT.png (the flow in colors: hue is "
        "direction, saturation is speed) and OUT_warped.png (B, moved to where A has it), and prints the PSNR of B "
        "against A before and after.",
        _flow_options,
        has_config=False,
    ),
    "cost": Command(
        "count parameters and operations, and measure memory",
        "ascendvsr.commands:cost",
        "Count a network's parameters and multiply-accumulate operations; writes cost.txt.",
        _cost_options,
    ),
    "doctor": Command(
        "tell which implementation serves each operation here, and why",
        "ascendvsr.commands:doctor",
        "Tell which implementation serves each operation here, and why. Compiles the kernels if need be.",
    ),
}
