"""Small data sets in the folders of FlyingChairs and Sintel: a photograph that moves by a known flow."""

from pathlib import Path

import numpy as np
from PIL import Image

from ascendcv.utils.flow_io import write_flo

HEIGHT, WIDTH = 40, 56


def view(photograph: np.ndarray, left: int, top: int) -> np.ndarray:
    return photograph[top : top + HEIGHT, left : left + WIDTH]


def make_flying_chairs(folder: Path, photograph: np.ndarray, count: int = 3) -> Path:
    """Pair n moves by (n + 1, -n) pixels; the split calls the second pair a validation pair."""
    folder.mkdir(parents=True)
    for n in range(count):
        left, top = 200 + 10 * n, 60 + 20 * n
        # What is shown at p first is shown at p + flow then, when the view moves the other way.
        for number, (x, y) in enumerate([(left, top), (left - n - 1, top + n)], start=1):
            Image.fromarray(view(photograph, x, y)).save(folder / f"{n + 1:05d}_img{number}.ppm")
        write_flo(folder / f"{n + 1:05d}_flow.flo", np.full((HEIGHT, WIDTH, 2), (n + 1, -n), np.float32))
    (folder.parent / "split.txt").write_text("\n".join("2" if n == 1 else "1" for n in range(count)) + "\n")
    return folder


def make_sintel(folder: Path, photograph: np.ndarray) -> Path:
    """Two scenes of three and two frames, which move by (2, 1)."""
    for scene, frames in (("alley_1", 3), ("bamboo_2", 2)):
        for part in ("clean", "flow"):
            (folder / "training" / part / scene).mkdir(parents=True)
        for n in range(frames):
            name = f"frame_{n + 1:04d}"
            frame = view(photograph, 220 - 2 * n, 80 - n)
            Image.fromarray(frame).save(folder / "training/clean" / scene / f"{name}.png")
            if n + 1 < frames:
                flow = np.full((HEIGHT, WIDTH, 2), (2, 1), np.float32)
                write_flo(folder / "training/flow" / scene / f"{name}.flo", flow)
    return folder
