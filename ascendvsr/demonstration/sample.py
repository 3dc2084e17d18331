"""Makes small data sets out of real photographs: python scripts/make_sample.py [data/sample]

A camera pans, zooms, turns and shakes over photographs that come with scikit-image, some with an object of
another photograph moving in front. Frames are rendered at twice their size and reduced, so that the ground
truth is sharp and free of aliasing. Clip 000 is held out: its photographs occur in no other clip.

    images/NAME/{truth,blur4}, sets/{train,val}.json
        super-resolution, data.layout reds: 320x256, and their MATLAB-bicubic reduction by 4, as in REDS
    {train,val}/{blur,gt}/NAME
        deblurring, data.layout pairs, data.train_set train, data.eval_set val: a blurred frame is the mean of
        what the camera sees while it is exposed, its ground truth the middle of that time, as in GoPro;
        224x176 pixels, the held-out clip 128x96
    {train,val}/gt/NAME
        clean clips for denoising, data.layout davis, data.train_set train/gt, data.eval_set val/gt
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import write_image
from ascendcv.dataloader.layouts import read_layout
from ascendcv.dataloader.reds import read_set, write_sets
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder

SIZE, SCALE = (320, 256), 4  # (width, height) of the ground truth for super-resolution, and over its input
HELD_OUT = "000"
BLUR_SIZE, BLUR_SIZE_HELD_OUT = (224, 176), (128, 96)
EXPOSURE, EXPOSURE_POSITIONS = 1.0, 8  # in frame intervals; views that are averaged over it
SUPERSAMPLING = 2
VERSION = 2  # of the recipe below: a sample of another version is made anew
MARK = "sample.json"  # says that a folder holds this program's work

# Function of skimage.data -> what its documentation says of origin and license.
PHOTOGRAPHS = {
    "astronaut": "Eileen Collins, NASA Great Images; public domain",
    "brick": "CC0Textures, Bricks25; CC0",
    "camera": "Lav Varshney; CC0",
    "chelsea": "Stefan van der Walt; CC0",
    "coffee": "Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0",
    "grass": "linolafett on DeviantArt, Grass-01; CC0",
    "hubble_deep_field": "Hubble eXtreme Deep Field, NASA; public domain",
    "retina": "Mikael Häggström, Medical gallery 2014; CC0",
    "rocket": "SpaceX, launch of DSCOVR on Falcon 9; public domain",
}


class View(NamedTuple):
    """Where the camera looks: center in the photograph's pixels, photograph pixels a frame pixel, degrees."""

    x: float
    y: float
    zoom: float
    angle: float = 0.0


class Disc(NamedTuple):
    """A disc cut out of a photograph, and where its middle is in the first and in the last frame."""

    photograph: str
    x: float
    y: float
    radius: float
    start: tuple[float, float]
    end: tuple[float, float]
    zoom: float = 1.0
    turn: float = 0.0  # degrees over the clip


class Scene(NamedTuple):
    """A clip: `start` and `end` are the camera's first and last view, between which it moves evenly."""

    photograph: str
    frames: int
    start: View
    end: View
    disc: Disc | None = None


SCENES = {
    HELD_OUT: Scene(
        "coffee", 12, View(255, 190, 1.22, -2), View(315, 205, 1.12, 3),
        Disc("retina", 705, 705, 690, (50, 205), (118, 178), 16.0, 40),
    ),
    "001": Scene("astronaut", 10, View(215, 180, 1.2, 0), View(255, 215, 1.2, 0)),
    "002": Scene("astronaut", 10, View(245, 330, 1.05, -4), View(285, 320, 1.25, 4)),
    "003": Scene("chelsea", 10, View(215, 146, 1.06, 1), View(248, 152, 1.02, -1)),
    "004": Scene("rocket", 10, View(300, 235, 1.25, 0), View(335, 195, 1.35, 2)),
    "005": Scene(
        "grass", 10, View(235, 240, 1.3, 2), View(275, 255, 1.3, -2),
        Disc("astronaut", 398, 424, 80, (60, 60), (110, 95), 1.1, -25),
    ),
    "006": Scene("camera", 10, View(260, 215, 1.3, 0), View(285, 190, 1.15, 2)),
    "007": Scene(
        "brick", 10, View(230, 300, 1.25, -3), View(265, 265, 1.2, 3),
        Disc("chelsea", 220, 125, 100, (230, 80), (190, 130), 1.2, 15),
    ),
    "008": Scene("hubble_deep_field", 10, View(420, 400, 1.5, 0), View(470, 430, 1.3, 6)),
}  # fmt: skip


def render(
    scene: Scene, photographs: dict[str, Image.Image], size: tuple[int, int], exposure: float = 0.0
) -> list[np.ndarray]:
    """The frames [height, width, 3] uint8 of a scene, `size` = (width, height).

    Frame n shows the time from n - `exposure` / 2 to n + `exposure` / 2, in frame intervals: the mean of pixel
    values at evenly spread moments, or the moment n itself for 0.
    """
    frames = []
    for number in range(scene.frames):
        moments = [float(number)]
        if exposure:
            moments = np.linspace(number - exposure / 2, number + exposure / 2, EXPOSURE_POSITIONS).tolist()
        mean = np.mean([_view(scene, photographs, size, moment) for moment in moments], axis=0)
        canvas = Image.fromarray(np.rint(mean).astype(np.uint8))
        frames.append(np.asarray(canvas.resize(size, Image.Resampling.LANCZOS)))
    return frames


def _view(scene: Scene, photographs: dict[str, Image.Image], size: tuple[int, int], moment: float) -> np.ndarray:
    """What the camera sees at a moment, at SUPERSAMPLING times the frame's size."""
    canvas = _warp(photographs[scene.photograph], camera(scene, moment), (size[0] / 2, size[1] / 2), size)
    if scene.disc is not None:
        _put_disc(canvas, scene.disc, photographs[scene.disc.photograph], moment / (scene.frames - 1), size)
    return np.asarray(canvas)


def camera(scene: Scene, moment: float) -> View:
    """The view at a moment, in frames: even motion between start and end, and the shake of a hand."""
    time = moment / (scene.frames - 1)
    view = View(*(a + (b - a) * time for a, b in zip(scene.start, scene.end, strict=True)))
    shake_x = 1.3 * math.sin(1.9 * moment) + 0.6 * math.sin(3.1 * moment + 1)
    shake_y = 1.1 * math.sin(2.3 * moment + 2) + 0.5 * math.sin(4.1 * moment)
    return view._replace(x=view.x + shake_x, y=view.y + shake_y)


def _warp(photograph: Image.Image, view: View, middle: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    """The photograph at SUPERSAMPLING times `size`, the center of `view` on frame position `middle`."""
    factor = max(1, int(view.zoom / SUPERSAMPLING))  # box-reduced first, where pixels would be skipped
    photograph = photograph.reduce(factor)
    view = view._replace(x=view.x / factor, y=view.y / factor)
    step = view.zoom / SUPERSAMPLING / factor
    cosine, sine = (step * f(math.radians(view.angle)) for f in (math.cos, math.sin))
    x, y = (SUPERSAMPLING * position for position in middle)
    matrix = (cosine, -sine, view.x - cosine * x + sine * y, sine, cosine, view.y - sine * x - cosine * y)
    canvas = (SUPERSAMPLING * size[0], SUPERSAMPLING * size[1])
    return photograph.transform(canvas, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def _put_disc(canvas: Image.Image, disc: Disc, photograph: Image.Image, time: float, size: tuple[int, int]) -> None:
    # The disc keeps its place in the middle of a frame smaller than the one that it was laid out for.
    start, end = (
        [position + (side - full) / 2 for position, side, full in zip(place, size, SIZE, strict=True)]
        for place in (disc.start, disc.end)
    )
    x, y = (a + (b - a) * time for a, b in zip(start, end, strict=True))
    middle = (x, y)
    view = View(disc.x, disc.y, disc.zoom, disc.turn * time)
    radius = disc.radius / disc.zoom
    box = [4 * SUPERSAMPLING * (position + side) for side in (-radius, radius) for position in middle]
    mask = Image.new("L", (4 * canvas.width, 4 * canvas.height))  # reduced, so that the edge is smooth
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    canvas.paste(_warp(photograph, view, middle, size), mask=mask.reduce(4))


def load_photographs() -> dict[str, Image.Image]:
    """The photographs by name, RGB. Raises `InputError` without scikit-image."""
    try:
        import skimage.data
    except ImportError:
        raise InputError("the sample is made of scikit-image's photographs: pip install scikit-image") from None
    return {name: Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in PHOTOGRAPHS}


def is_made(folder: Path) -> bool:
    """Whether `folder` holds this version's sample, whole. `InputError` where it holds anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / MARK).is_file():
        raise InputError(f"{folder} exists and was not made by this program; name another folder")
    try:
        for set_file, part in (("train.json", "train"), ("val.json", "val")):
            read_set(folder, set_file)
            read_layout("pairs", folder, part)
        return json.loads((folder / MARK).read_text()) == {"version": VERSION}
    except (InputError, ValueError):
        return False  # damaged since: made anew


def make(folder: Path) -> None:
    """Writes the sample; `folder` appears when it is complete."""
    photographs = load_photographs()
    with atomic_folder(folder) as temporary:
        with ThreadPoolExecutor() as pool:  # Pillow's transformations let other threads run
            list(pool.map(lambda name: _make_clip(temporary, name, photographs), SCENES))
        write_sets(temporary, val_names=[HELD_OUT])
        (temporary / "LICENSES.md").write_text(licenses())
        (temporary / MARK).write_text(json.dumps({"version": VERSION}) + "\n")


def _make_clip(folder: Path, name: str, photographs: dict[str, Image.Image]) -> None:
    scene = SCENES[name]
    truth = render(scene, photographs, SIZE)
    _write(folder / "images" / name / "truth", truth)
    _write(folder / "images" / name / "blur4", [imresize(frame, 1 / SCALE) for frame in truth])
    part, size = ("val", BLUR_SIZE_HELD_OUT) if name == HELD_OUT else ("train", BLUR_SIZE)
    _write(folder / part / "gt" / name, render(scene, photographs, size))
    _write(folder / part / "blur" / name, render(scene, photographs, size, EXPOSURE))


def _write(folder: Path, frames: Sequence[np.ndarray]) -> None:
    for number, frame in enumerate(frames):
        write_image(folder / f"{number:08d}.png", frame)


def licenses() -> str:
    """What the sample is made of, as Markdown."""
    lines = [
        "# Photographs in this sample",
        "",
        "All frames are views of photographs that come with scikit-image, named as in `skimage.data`, whose",
        "documentation states their origin and license.",
        "",
        "| photograph | origin and license | clips |",
        "|---|---|---|",
    ]
    for photograph, license in PHOTOGRAPHS.items():
        clips = [name for name, scene in SCENES.items() if photograph in photographs_of(scene)]
        lines.append(f"| {photograph} | {license} | {', '.join(clips)} |")
    return "\n".join(lines) + "\n"


def photographs_of(scene: Scene) -> set[str]:
    """The names of the photographs that a scene shows."""
    return {scene.photograph} | ({scene.disc.photograph} if scene.disc else set())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("data/sample"))
    folder = parser.parse_args(argv).folder
    try:
        if is_made(folder):
            print(f"{folder} is there: nothing to do")
            return 0
        make(folder)
    except InputError as error:
        print(f"make_sample: {error}", file=sys.stderr)
        return 2
    print(f"{folder}: {len(SCENES) - 1} training clips, and clip {HELD_OUT} held out; see LICENSES.md there")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
