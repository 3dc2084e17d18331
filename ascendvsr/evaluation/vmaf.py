"""VMAF by the program ffmpeg, where one with libvmaf is found."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ascendcv.utils.errors import InputError

_MISSING = "vmaf needs the program ffmpeg with libvmaf on PATH (`ffmpeg -filters` lists libvmaf)"
_TO_YUV = "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"


def find_program() -> str:
    """The program that computes VMAF. Raises `InputError` where there is none."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise InputError(f"{_MISSING}; there is no ffmpeg")
    try:
        listed = subprocess.run([program, "-hide_banner", "-filters"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{_MISSING}; {program} does not run: {error}") from None
    if "libvmaf" not in listed.stdout:
        raise InputError(f"{_MISSING}; {program} has none")
    return program


def vmaf(pairs: Iterable[tuple[np.ndarray, np.ndarray]], program: str) -> list[float]:
    """VMAF of each pair (restored, ground truth) of 8-bit RGB frames [H, W, 3], by the program's own model.

    The frames are compared as video in 4:2:0 of BT.709, because the model was made for that. Raises `InputError`
    where the program fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("restored.mkv", "truth.mkv")]
        count = _write(files, pairs)
        graph = (
            f"[0:v]{_TO_YUV}[restored];[1:v]{_TO_YUV}[truth];"
            "[restored][truth]libvmaf=log_fmt=json:log_path=vmaf.json"
        )
        command = [program, "-v", "error", "-nostdin", "-i", files[0].name, "-i", files[1].name]
        done = subprocess.run(
            [*command, "-lavfi", graph, "-f", "null", "-"], cwd=folder, capture_output=True, text=True
        )
        try:
            frames = json.loads(Path(folder, "vmaf.json").read_text())["frames"]
            scores = [float(frame["metrics"]["vmaf"]) for frame in frames]
        except (OSError, ValueError, LookupError, TypeError):
            scores = []
        if done.returncode or len(scores) != count:
            reason = (done.stderr.strip().splitlines() or ["it wrote no scores"])[-1]
            raise InputError(f"{program} computes no VMAF: {reason[:300]}")
    return scores


def _write(files: list[Path], pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> int:
    """Both clips as lossless videos; returns the number of frames."""
    count = 0
    containers = [av.open(str(file), "w") for file in files]
    try:
        streams: list[Any] = []
        for images in pairs:
            if not streams:
                streams = [container.add_stream("ffv1", rate=25) for container in containers]
                for stream, image in zip(streams, images, strict=True):
                    stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "bgr0"
            for container, stream, image in zip(containers, streams, images, strict=True):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24").reformat(format="bgr0")
                frame.pts, frame.time_base = count, Fraction(1, 25)
                container.mux(stream.encode(frame))
            count += 1
        for container, stream in zip(containers, streams, strict=False):
            container.mux(stream.encode(None))
    finally:
        for container in containers:
            container.close()
    return count
