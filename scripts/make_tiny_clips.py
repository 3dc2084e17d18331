"""Makes the training clips of the shipped networks: python scripts/make_tiny_clips.py SRC OUT [--clips 2400]

SRC holds photos/*.jpg and clips/*.mp4, freely licensed (what was used, and its licenses, say the models' cards);
the photographs that come with scikit-image are used beside them. Most clips are synthesized from photographs (see
`ascendcv.dataloader.synthetic_clips`), one in eight is a piece of a real clip at half its size.

    OUT/{train,val}/gt/NAME    five frames of 160x160 pixels; the clips of val are larger, and of photographs and
                               a clip that train has nothing of
    OUT/{train,val}/x4/NAME    their MATLAB-bicubic reduction by 4
    OUT/{train,val}/blur/NAME  with --blur: what a camera sees of the same scenes while it is exposed

A clip is a function of its number and of what is in SRC alone. Training: configs/tiny/*.yaml.
"""

import packages  # noqa: F401

# isort: split
import argparse
import functools
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import av
import numpy as np
from PIL import Image

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import write_image
from ascendcv.dataloader.synthetic_clips import Scene, draw_scene, render
from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_folder

FRAMES = 5
SIZE, SIZE_VALIDATION = 160, 256
CLIPS_VALIDATION = 16
CANDIDATES = 3  # scenes of which the one with the most detail is taken
EXPOSURE_POSITIONS = 9  # views that a blurred frame is the mean of
SEED = {"train": 1, "val": 2}

# Photographs that differ in kind, by the beginnings of their names: checkpoints are selected on them.
VALIDATION = ("aitzgorri", "friends", "jayruzesky", "life", "suluhkalba", "sunsetbythepier")
FOOTAGE = ("flower.mp4", "friday.mp4")  # CC0-1.0
SKIMAGE = (
    "astronaut", "brick", "camera", "chelsea", "coffee", "grass", "hubble_deep_field", "retina", "rocket",
)  # fmt: skip


@functools.cache
def photographs(source: Path, part: str) -> list[Image.Image]:
    """The photographs of a part, RGB, by name. Raises `InputError` without any."""
    files = sorted((source / "photos").glob("*.jpg"))
    chosen = [file for file in files if file.name.startswith(VALIDATION) == (part == "val")]
    if not chosen:
        raise InputError(f"{source / 'photos'} has no photographs *.jpg for {part}")
    pictures = [Image.open(file).convert("RGB") for file in chosen]
    if part == "train":
        import skimage.data

        pictures += [Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in SKIMAGE]
    return pictures


@functools.cache
def footage(source: Path) -> list[np.ndarray]:
    """The real clips that there are, [T, H, W, 3] uint8, at half their size: compression hardly shows then."""
    clips = []
    for name in FOOTAGE:
        path = source / "clips" / name
        if path.is_file():
            with av.open(str(path)) as container:
                frames = [Image.fromarray(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
            clips.append(np.stack([np.asarray(frame.reduce(2)) for frame in frames]))
    return clips


def make_clip(source: Path, folder: Path, part: str, blur: bool, number: int) -> None:
    """Writes clip `number` of a part into `folder`."""
    generator = np.random.default_rng([SEED[part], number])
    size = SIZE if part == "train" else SIZE_VALIDATION
    blurred = []
    if part == "train" and not blur and number % 8 == 7 and footage(source):
        clip = footage(source)[number // 8 % len(footage(source))]
        sharp = max((_cut_out(generator, clip, size) for _ in range(CANDIDATES)), key=_detail)
    else:
        pictures = photographs(source, part)
        # A blurred frame is the mean of many views, which are rendered at its size and so not from far away. What
        # moves by more than some pixels while it is exposed is beyond small networks.
        max_zoom, max_speed, supersampling = (1.5, 8.0, 1) if blur else (3.0, 20.0, 2)
        show = functools.partial(render, photographs=pictures, frame_size=(size, size), supersampling=supersampling)
        scenes = [_draw(generator, pictures, size, max_zoom, max_speed) for _ in range(CANDIDATES)]
        scene = max(scenes, key=lambda scene: _detail([show(scene, moments=[0])]))
        times = np.arange(FRAMES) - (FRAMES - 1) / 2
        sharp = [show(scene, moments=[time]) for time in times]
        if blur:
            exposure = generator.uniform(0.2, 1.0)  # part of the time between frames
            moments = np.linspace(-exposure / 2, exposure / 2, EXPOSURE_POSITIONS)
            blurred = [show(scene, moments=time + moments) for time in times]
    name = f"{number:05d}"
    for index, frame in enumerate(sharp):
        write_image(folder / part / "gt" / name / f"{index}.png", frame)
        write_image(folder / part / "x4" / name / f"{index}.png", imresize(frame, 1 / 4))
    for index, frame in enumerate(blurred):
        write_image(folder / part / "blur" / name / f"{index}.png", frame)


def _draw(
    generator: np.random.Generator, pictures: Sequence[Image.Image], size: int, max_zoom: float, max_speed: float
) -> Scene:
    sizes, times = [picture.size for picture in pictures], (-FRAMES / 2, FRAMES / 2)
    return draw_scene(generator, sizes, (size, size), times, max_speed=max_speed, max_zoom=max_zoom)


def _cut_out(generator: np.random.Generator, clip: np.ndarray, size: int) -> list[np.ndarray]:
    """FRAMES frames of a real clip, neighbors or every second one, cut at a random place."""
    step = int(generator.integers(1, 3))
    first = int(generator.integers(len(clip) - (FRAMES - 1) * step))
    top, left = (int(generator.integers(side - size + 1)) for side in clip.shape[1:3])
    return list(clip[first : first + FRAMES * step : step, top : top + size, left : left + size])


def _detail(frames: Sequence[np.ndarray]) -> float:
    """How much there is in the middle frame that is finer than two pixels: sky has little to learn from."""
    frame = frames[len(frames) // 2].astype(float)
    return np.abs(
        frame[1:-1, 1:-1] - (frame[:-2, 1:-1] + frame[2:, 1:-1] + frame[1:-1, :-2] + frame[1:-1, 2:]) / 4
    ).mean()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=2400, help="clips to train on")
    parser.add_argument("--blur", action="store_true", help="blurred frames as well, and no real clips")
    options = parser.parse_args(argv)
    if options.folder.exists():
        print(f"{options.folder} is there: nothing to do")
        return 0
    try:
        for part in ("train", "val"):
            photographs(options.source, part)
        with atomic_folder(options.folder) as temporary, ProcessPoolExecutor(2) as pool:
            for part, count in (("val", CLIPS_VALIDATION), ("train", options.clips)):
                make = functools.partial(make_clip, options.source, temporary, part, options.blur)
                list(pool.map(make, range(count), chunksize=16))
    except InputError as error:
        print(f"make_tiny_clips: {error}", file=sys.stderr)
        return 2
    print(f"{options.folder}: {options.clips} clips to train on, {CLIPS_VALIDATION} to select on")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
