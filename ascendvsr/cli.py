"""The command `ascendvsr`: reads the command line and calls what does the work.

Exit status: 0 done; 2 bad input, said in one line; 1 any other failure; 130 or 143 stopped by a signal.
"""

import argparse
import importlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import literal_path
from ascendvsr.habits import refuse_habits
from ascendvsr.preparation.names import DATA_SETS, DEGRADATIONS
from ascendvsr.scaling.parts import add_part_option
from ascendvsr.scaling.tasks import add_cluster_options
from ascendvsr.unused import refuse_unused

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
        names_inputs: whether what stands without an option are files rather than KEY VALUE pairs.
        takes_settings: whether settings can be changed.
    """

    summary: str
    work: str
    description: str = ""
    options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    has_config: bool = True
    names_inputs: bool = False
    takes_settings: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name may be any bytes
    try:
        for number in _END_SIGNALS:
            signal.signal(number, _stop)
        command, arguments = _parse(argv)
        module, name = COMMANDS[command].work.split(":")
        getattr(importlib.import_module(module), name)(arguments)
    except InputError as error:
        print(f"ascendvsr: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "ascendcv", "ascendvsr"):
            raise
        print(
            f"ascendvsr: the package {error.name} is not installed: pip install 'ascendvsr[cpu]', or "
            "'ascendvsr[gpu]' for NVIDIA GPUs",
            file=sys.stderr,
        )
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


# What ends a command; SIGHUP, of a terminal that is closed, is unknown to Windows.
_END_SIGNALS = [signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


def _stop(*_: object) -> None:
    """They end it as an exception does, so that threads end and temporary files go."""
    raise SystemExit(143)


def _parse(argv: list[str]) -> tuple[str, argparse.Namespace]:
    """The command and its arguments; the command may also be the value of the key `mode`."""
    argv = [part for word in argv for part in (("mode", word[5:]) if word.startswith("mode=") else (word,))]
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
        refuse_habits(argv, ())
        raise InputError(f"no such command: {argv[0]!r}; there are {', '.join(sorted(COMMANDS))}")
    # The parser of the command by itself: options and KEY VALUE pairs may stand in any order.
    parser = _parser(command)[1]
    refuse_habits(rest, list(parser._option_string_actions))
    arguments = parser.parse_intermixed_args(_as_one_word(rest))
    if not COMMANDS[command].takes_settings:
        return command, arguments
    if COMMANDS[command].names_inputs:
        arguments.settings = [word for pair in arguments.set for word in pair]
    arguments.settings = _as_pairs(arguments.settings)
    if len(arguments.settings) % 2:
        raise InputError(f"settings come as KEY VALUE pairs; {arguments.settings[-1]!r} has no value")
    refuse_unused(command, arguments.settings[::2])
    for option, key in _OPTION_KEYS.items():
        if getattr(arguments, option, None) is not None:
            arguments.settings += [key, getattr(arguments, option)]
    if command in ("eval", "evaluate"):
        arguments.settings += _of_pairs_and_tiles(arguments)
    arguments.settings += ["mode", command]
    return command, arguments


def _of_pairs_and_tiles(arguments: argparse.Namespace) -> list[str]:
    """The settings that `--lq`, `--gt`, `--tile` and `--tile-overlap` of `eval` stand for."""
    settings: dict[str, object] = {}
    if arguments.gt and not arguments.lq:
        raise InputError("--gt is the ground truth of what --lq names: say both")
    if arguments.lq:
        # Absolute folders, because those of the layout are below data_dir.
        settings |= {"data.layout": "pairs", "data.data_dir": literal_path(os.path.abspath(arguments.lq))}
        settings |= {"data.eval_set": ".", "data.lq_folder": "."}
        settings |= {"data.gt_folder": os.path.abspath(arguments.gt)} if arguments.gt else {}
    if arguments.tile:
        frames, height, width = arguments.tile
        settings |= {"eval.tile_frames": frames, "data.eval_in_patch": bool(height and width)}
        settings |= {"data.eval_in_size": [height, width]} if height and width else {}
    if arguments.tile_overlap:
        frames, height, width = arguments.tile_overlap
        if height != width:
            raise InputError(f"--tile-overlap {frames} {height} {width}: in height and width tiles overlap alike")
        settings |= {"eval.tile_frames_overlap": frames, "data.eval_pad_size": height}
    return [str(word) for pair in settings.items() for word in pair]


def _as_one_word(argv: list[str]) -> list[str]:
    """`--tile auto` as one word, because `--tile` otherwise takes three numbers; `--set KEY=VALUE` as two."""
    joined = list(argv)
    for at in range(len(joined) - 1, 0, -1):
        if joined[at - 1 : at + 1] == ["--tile", "auto"]:
            joined[at - 1 : at + 1] = ["--tile-auto"]
        elif joined[at - 1] == "--set" and (pair := _KEY_IS_VALUE.fullmatch(joined[at])):
            joined[at : at + 1] = pair.groups()
    return joined


_KEY_IS_VALUE = re.compile(r"([a-z]\w*(?:\.\w+)*)=(.*)", re.DOTALL | re.IGNORECASE)


def _as_pairs(words: list[str]) -> list[str]:
    """KEY VALUE KEY VALUE ..., of which each pair may also be written as KEY=VALUE."""
    pairs: list[str] = []
    rest = list(words)
    while rest:
        if pair := _KEY_IS_VALUE.fullmatch(rest[0]):
            pairs += pair.groups()
            del rest[0]
        else:
            pairs += rest[:2]
            del rest[:2]
    return pairs


def _parser(command: str = "") -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of the whole program, for its help, and that of one command; without one, the same."""
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
            if entry.takes_settings:
                _add_settings(own, entry)
    return parser, parsers.choices.get(command, parser)


def _add_settings(parser: argparse.ArgumentParser, command: Command) -> None:
    if command.names_inputs:
        text = "a setting that differs; may be said again"
        parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("KEY", "VALUE"), help=text)
    else:
        parser.add_argument("settings", nargs="*", metavar="KEY VALUE", help="settings that differ")


# option -> the key that it sets
_OPTION_KEYS = {
    "checkpoint": "checkpoint",
    "weights": "weights",
    "input": "inference.input",
    "output": "inference.output",
    "sigma": "inference.sigma",
    "protocol": "eval.protocol",
    "batch": "data.eval_batch_size",
    "threads": "num_threads",
    "precision": "eval.precision",
}


def _checkpoint(parser: argparse.ArgumentParser) -> None:
    text = (
        "weights: .pth, .safetensors, .npz, .h5, EDVR-<step>; best, latest, epoch:N in output_dir; or a name that "
        "`ascendvsr models` lists"
    )
    parser.add_argument("--checkpoint", "--model", metavar="PATH", help=text)
    _weights(parser)
    _yes(parser)


def _weights(parser: argparse.ArgumentParser) -> None:
    text = "of a checkpoint that has both: raw, or ema, their moving average, which is taken where nothing is said"
    parser.add_argument("--weights", choices=("raw", "ema"), help=text)


def _yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="download what is named and not here, without asking")


def _sigma(parser: argparse._ActionsContainer) -> None:
    text = "standard deviation of the noise, of 255, that a denoising network is told"
    parser.add_argument("--sigma", metavar="LEVEL", help=text)


def _eval_options(parser: argparse.ArgumentParser) -> None:
    add_part_option(parser)
    add_cluster_options(parser)
    _checkpoint(parser)
    _sigma(parser)
    add = parser.add_argument
    add("--protocol", metavar="NAME", help="whose measure: see the setting eval.protocol")
    add("--lq", metavar="DIR", help="a folder of frames, or of such folders, to restore and measure")
    add("--gt", metavar="DIR", help="its ground truth, under the same names")
    add("--tile", nargs=3, type=int, metavar=("T", "H", "W"), help="frames, height and width at once; 0: all")
    add("--tile-overlap", nargs=3, type=int, metavar=("t", "h", "w"), help="of neighboring tiles; h equals w")


def _evaluate_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("restored", nargs="?", metavar="RESTORED", help="a folder of frames, of such folders or of videos, a video")
    add("truth", nargs="?", metavar="GT", help="its ground truth, of any of these kinds")
    add(
        "--measures",
        metavar="A,B,...",
        help="further ones: psnr, ssim, psnr_y, ssim_y, ms_ssim, ms_ssim_y, aligned; tof, warping_error (with "
        "--flow); vmaf (by ffmpeg); lpips, niqe (by pyiqa)",
    )
    add("--flow", metavar="WEIGHTS", help="of a flow network, or of a network that has one")
    add("--merge", nargs="+", metavar="FILE", help="metrics.json of parts of a set, to be merged instead")
    text = "where metrics.json, .csv, .md and .png go; without: RESTORED_scores"
    add("--output", "-o", dest="scores_to", metavar="DIR", help=text)
    _eval_options(parser)


def _inference_options(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    parser.add_argument("--input", metavar="PATH", help="a folder of frames, of such folders, or a video")
    parser.add_argument("--output", metavar="PATH", help="a folder, or a video file (.mp4)")
    _sigma(parser)


def _restore_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "inputs", nargs="*", metavar="IN", help="files, folders of frames or of videos, patterns; - is a y4m stream"
    )
    add("--lq", action="append", default=[], metavar="DIR", help="the same as IN")
    add("--output", "-o", metavar="OUT", help="a file or a folder; without: NAME_restored beside each input")
    _checkpoint(parser)
    add("--overwrite", action="store_true", help="replace files that exist; an input never is")
    add("--resume", action="store_true", help="go on where a restoration was stopped")
    add("--compare", action="store_true", help="write NAME_compare too: frames beside what became of them")
    add("--report", metavar="FILE.html", help="a page with before and after, which needs no other file")
    add(
        "--gt",
        metavar="PATH",
        help="ground truth, to measure by: a clip, or a folder with one of each name",
    )
    add_cluster_options(parser)
    part = parser.add_argument_group("which part")
    add_part_option(part)
    part.add_argument("--start", metavar="TIME", help="the first frame: a number, or a time such as 1:23.5")
    part.add_argument("--frames", type=int, metavar="N", help="how many frames")
    part.add_argument(
        "--stream", type=int, metavar="N", help="which stream of the file; without: the largest video"
    )
    how = parser.add_argument_group("how to restore")
    _sigma(how)
    how.add_argument(
        "--scene-cuts", default="auto", metavar="auto|off|LIST", help="where shots begin; auto for videos"
    )
    how.add_argument(
        "--tile", nargs=3, metavar=("T", "H", "W"), help="frames, height and width; or auto, by --memory"
    )
    how.add_argument("--tile-auto", action="store_true", help=argparse.SUPPRESS)
    how.add_argument("--tile-overlap", nargs=3, metavar=("t", "h", "w"), help="of neighboring tiles")
    how.add_argument("--memory", metavar="SIZE", help="what --tile auto may take, such as 4G")
    how.add_argument("--deinterlace", action="store_true", help="turn interlaced frames into whole ones (bwdif)")
    how.add_argument(
        "--on-error", default="skip", choices=("skip", "stop", "repeat"), help="frames that do not decode"
    )
    how.add_argument("--hdr", default="keep", choices=("keep", "refuse"), help="high dynamic range and wide gamuts")
    speed = parser.add_argument_group("how to compute")
    speed.add_argument(
        "--runtime",
        choices=("onnxruntime", "openvino", "litert"),
        help="of an exported network, which --model FILE names; needs no TensorFlow",
    )
    speed.add_argument("--batch", metavar="N", help="windows at once")
    speed.add_argument("--threads", metavar="N", help="that compute; 0: as many as there are processors")
    speed.add_argument("--precision", metavar="TYPE", help="float32, bfloat16 or float16, where there is such")
    video = parser.add_argument_group("how to write")
    video.add_argument("--format", choices=("png", "tiff", "jpg", "webp"), help="a folder of such images")
    video.add_argument("--codec", choices=("h264", "hevc", "av1", "vp9", "prores", "ffv1"), help="of a video")
    video.add_argument("--crf", type=int, metavar="N", help="its quality: lower is better and larger")
    video.add_argument("--preset", metavar="NAME", help="how long the encoder takes for it")
    video.add_argument("--pix-fmt", metavar="NAME", help="how pixels are stored, as ffmpeg names it")


def _join_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("outputs", nargs="+", metavar="OUT", help="what the parts were restored into")
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist")


def _models_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar="WORD", help="only those with all of these words")


def _download_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of weights or of a test set: `ascendvsr models` lists them")
    parser.add_argument("--to", metavar="DIR", help="where to; without: the user's cache, where commands look")


def _verify_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of published weights")
    parser.add_argument("data", metavar="DATA", help="the folder of the paper's test set, or its name")
    parser.add_argument("--test-set", metavar="NAME", help="which test set DATA is, where its name does not tell")
    _yes(parser)


def _prepare_options(parser: argparse.ArgumentParser) -> None:
    add_part_option(parser)
    add_cluster_options(parser, devices=False)
    add = parser.add_argument
    add("dataset", choices=DATA_SETS, metavar="DATASET", help=f"one of: {', '.join(DATA_SETS)} (one's own)")
    add("source", metavar="SRC", help="the folder that it lies in, or its archives (.zip, .tar ...)")
    add("target", metavar="DST", nargs="?", help="a folder for the result")
    add("--check", action="store_true", help="only look whether it is whole and every file of it can be read")
    add("--dry-run", action="store_true", help="only tell what would be made")
    add("--partial", action="store_true", help="take what is there of a set that is not whole")
    add("--lr", choices=DEGRADATIONS, help="how low-quality frames are made; without: as they were published")
    add("--to", choices=("folders", "lmdb", "tfrecord"), default="folders", help="what the result is kept in")
    add("--link", action="store_true", help="link to the files of SRC rather than copying them, where that can be")
    add("--jobs", type=int, default=os.cpu_count(), metavar="N", help="how many files are worked on at once")


def _degrade_options(parser: argparse.ArgumentParser) -> None:
    add_part_option(parser)
    add_cluster_options(parser, devices=False)
    add = parser.add_argument
    add("source", metavar="IN", help="a video, a folder of frames, of such folders, or an LMDB")
    add("target", metavar="OUT", help="a folder of frames, or of as many folders as clips come in; or a video")
    add(
        "--step",
        action="append",
        default=[],
        metavar="STEP",
        dest="steps",
        help="a degradation, such as 'bicubic scale=4', 'gaussian sigma=5..25' or 'jpeg quality=60'; for each one",
    )
    add("--seed", type=int, default=0, metavar="N", help="of all that is drawn; 0")
    add("--sharp", metavar="DIR", help="also write the clean frame in the middle of each mean there (average)")
    add("--overwrite", action="store_true", help="replace files that exist")


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bench", action="store_true", help="measure a convolution in each precision, and say which is the fastest"
    )


def _settings_options(parser: argparse.ArgumentParser) -> None:
    from ascendvsr.config.explain import add_options

    add_options(parser)


def _cost_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--size", nargs=2, type=int, default=(720, 1280), metavar=("H", "W"), help="of the frames; 720 1280"
    )
    parser.add_argument("--memory", action="store_true", help="measure one call's memory too, in a process")


def _export_options(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    add, dtypes = parser.add_argument, ("float32", "float16", "uint8")
    add(
        "--format", metavar="F[,F...]", default="onnx", help="savedmodel, pb, onnx, onnx-standard, openvino, litert"
    )
    add("--output", dest="folder", metavar="DIR", help="where files go; without: the setting output_dir")
    add("--size", nargs="+", metavar="H W", default=["dynamic"], help="of the frames; or dynamic: any, the default")
    add("--batch", type=int, default=1, metavar="N", help="windows at once; -1: any number; 1 is the default")
    add("--fold", action="store_true", help="frames go in as [N * T, H, W, C] instead of [N, T, H, W, C]")
    text = "of what goes in: float32, float16, or uint8, which the graph divides by 255"
    add("--input-dtype", choices=dtypes, default="float32", help=text)
    text = "of what comes out: float32, float16, or uint8, clipped, multiplied by 255 and rounded"
    add("--output-dtype", choices=dtypes, default="float32", help=text)
    text = "of the weights in the file: float16 halves it; it computes in float32 as before"
    add("--weights-dtype", choices=("float32", "float16"), default="float32", help=text)
    text = "frames or a video to fit 8-bit numbers to: openvino and litert of fixed sizes then compute in int8"
    add("--int8", metavar="FRAMES", help=text)
    text = (
        "FILE: compare an exported file with its checkpoint again; ascend FILE, openvino-npu FILE, litert FILE: "
        "whether that compiler takes its operations"
    )
    add("--check", nargs="+", metavar="FILE", help=text)


def _flow_options(parser: argparse.ArgumentParser) -> None:
    from ascendvsr.models import FLOW_NAMES

    parser.add_argument("first", metavar="A", help="an image: the frame that the flow begins in")
    parser.add_argument("second", metavar="B", help="an image of the same size: the frame that it leads to")
    parser.add_argument("out", metavar="OUT", help="where results go: the beginning of their names")
    parser.add_argument("--model", required=True, choices=FLOW_NAMES, help="the flow network")
    _weights(parser)
    _yes(parser)
    parser.add_argument(
        "--checkpoint",
        required=True,
        metavar="PATH",
        help="its weights, or those of a restoring network that has it; which PWC-Net it is, they tell",
    )


def _convert_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="IN", help="weights: a file, a run's folder, a published name")
    parser.add_argument("out", metavar="OUT", help="a file: .pth, .safetensors or .weights.h5")
    _weights(parser)
    _yes(parser)


COMMANDS = {
    "train": Command(
        "train a network by the recipe of a configuration file", "ascendvsr.commands:train", options=_yes
    ),
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
    "evaluate": Command(
        "score restored clips that are there against their ground truth",
        "ascendvsr.commands:evaluate_or_score",
        "Score restored clips against their ground truth: folders, videos, LMDBs. Clips are paired by name, frames "
        "by name or number. With --checkpoint it restores and scores, as eval does.",
        _evaluate_options,
    ),
    "restore": Command(
        "restore footage of any kind: videos, pictures, folders of them",
        "ascendvsr.commands:restore",
        "Restore footage. Every frame keeps its time; sound, subtitles, colors and metadata are carried over.",
        _restore_options,
        names_inputs=True,
    ),
    "join": Command(
        "put the parts of a video together that `restore --part` made",
        "ascendvsr.restoration.joining:join",
        "Join the parts of a video that processes restored apart, without encoding again: frames, times, sound.",
        _join_options,
        has_config=False,
        takes_settings=False,
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
    "export": Command(
        "write a network for ONNX Runtime, OpenVINO, LiteRT, NPUs or TensorFlow, proven equal",
        "ascendvsr.commands:export",
        "Write a network as files that other programs run. Each is run in its runtime and compared with the "
        "network before it has its name; export_report.json tells the differences.",
        _export_options,
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
    "convert": Command(
        "write weights as the file that another program reads",
        "ascendvsr.commands:convert",
        "Write the weights of a checkpoint under their official names: .pth for the network's original, BasicSR "
        "and other programs with PyTorch; .safetensors; .weights.h5 for Keras.",
        _convert_options,
    ),
    "cost": Command(
        "count parameters and operations, and measure memory",
        "ascendvsr.commands:cost",
        "Count a network's parameters and multiply-accumulate operations; writes cost.txt.",
        _cost_options,
    ),
    "demo": Command(
        "restore a clip that ships, then train, evaluate and freeze a small network here",
        "ascendvsr.demonstration.demo:demo",
        "Restore a short real clip by weights that ship, make a sample from photographs, train a small EDVR for "
        "two minutes, evaluate it beside bicubic, restore a clip and freeze the network: into data/sample and "
        "outputs/sample of this folder. A second run reuses what is there.",
        has_config=False,
        takes_settings=False,
    ),
    "models": Command(
        "list published weights: task, size, license, the paper's numbers",
        "ascendvsr.weights.commands:models",
        options=_models_options,
        has_config=False,
        names_inputs=True,
    ),
    "download": Command(
        "fetch published weights or a paper's test set",
        "ascendvsr.weights.commands:download",
        "Fetch published weights or a paper's test set by name. A download that was interrupted goes on.",
        _download_options,
        has_config=False,
        names_inputs=True,
    ),
    "verify": Command(
        "measure published weights as their paper did, and compare",
        "ascendvsr.commands:verify",
        "Measure published weights by their paper's protocol; prints the published number, the measured one and "
        "the difference.",
        _verify_options,
        has_config=False,
        names_inputs=True,
    ),
    "prepare": Command(
        "check a data set, regroup it, make low-quality frames, pack it",
        "ascendvsr.preparation.prepare:prepare",
        "Check that a data set is whole and every file of it can be read, put it into the folders that training "
        "reads, make low-quality frames as the published ones were made, and pack it. See docs/data.md.",
        _prepare_options,
        has_config=False,
        names_inputs=True,
        takes_settings=False,
    ),
    "degrade": Command(
        "make worse frames of good ones: smaller, noisy, compressed, blurred by motion",
        "ascendvsr.preparation.degrade:degrade",
        "Degrade clips by a chain of steps. What was drawn for each clip is written beside them (degraded.json). "
        "Steps: bicubic, bd, duf, gaussian, poisson, salt-pepper, speckle, jpeg, video, average; see docs/data.md.",
        _degrade_options,
        has_config=False,
        names_inputs=True,
        takes_settings=False,
    ),
    "settings": Command(
        "search and explain the settings",
        "ascendvsr.config.explain:explain",
        options=_settings_options,
        has_config=False,
        takes_settings=False,
    ),
    "doctor": Command(
        "tell which implementation serves each operation here, and why",
        "ascendvsr.commands:doctor",
        "Tell which implementation serves each operation here, and why. Compiles the kernels if need be.",
        options=_doctor_options,
    ),
}
