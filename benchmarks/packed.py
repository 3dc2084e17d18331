"""Data sets by themselves, for `python -m benchmarks.io`: training clips per second, imresize, damaged files."""

import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ascendcv.dataloader.clips import folders_of_frames
from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.image import encode_image, list_images, read_image, write_image
from ascendcv.dataloader.layouts import read_layout
from ascendcv.dataloader.meta_info import read_frame_list, read_meta_info
from ascendvsr.preparation.packing import Entry, entries_of, write_lmdb, write_tfrecord
from benchmarks.input_pipeline import samples_per_second
from benchmarks.timing import median_times

CLIPS, LENGTH = 4, 10
WINDOW = {"num_frames": 5, "scale": 4}


def clips(folder: Path, picture: np.ndarray) -> None:
    """Prints training samples per second of 720p ground truth and its input, from folders and packed files."""
    for clip in range(CLIPS):
        for frame in range(LENGTH):
            pixels = np.roll(picture, (7 * clip + frame, 11 * clip + 2 * frame), (0, 1))
            write_image(folder / f"gt/{clip:03d}/{frame:08d}.png", pixels)
            write_image(folder / f"blur/{clip:03d}/{frame:08d}.png", imresize(pixels, 0.25))
    for write, ending in ((write_lmdb, "lmdb"), (write_tfrecord, "tfrecord")):
        for name in ("gt", "blur"):
            write(folder / f"{name}.{ending}", entries_of(folder / name))
    rates = {}
    for threads in (1, 2):
        for kind, ending in (("folders", ""), ("LMDB", ".lmdb"), ("TFRecord", ".tfrecord")):
            folders = {"lq_folder": f"blur{ending}", "gt_folder": f"gt{ending}"}
            found = read_layout("pairs", folder, ".", scale=4, **folders)
            rates[kind] = max(samples_per_second(found, 64, threads, **WINDOW) for _ in range(2))
        told = ", ".join(f"{kind} {rate:.1f} ({rate / rates['folders']:.2f})" for kind, rate in rates.items())
        print(f"samples/s of 5 frames with {threads} threads, and over that of folders: {told}")


def resizing(original: str | None, picture: np.ndarray, rounds: int) -> None:
    """Prints milliseconds per 720p frame, beside another `imresize(image, scale)` in the Python file `original`."""
    image = np.ascontiguousarray(picture[:720, :1280])
    runs: dict[str, Callable[[], np.ndarray]] = {"ours": lambda: imresize(image, 0.25)}
    if original is not None:
        spec = importlib.util.spec_from_file_location("original_imresize", original)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        runs["original"] = lambda: module.imresize(image, 0.25)
    times = median_times(runs, rounds)
    print(
        "imresize to a quarter: " + ", ".join(f"{name} {1000 * seconds:.1f} ms" for name, seconds in times.items())
    )
    if original is not None:
        apart = np.abs(runs["ours"]().astype(int) - runs["original"]().astype(int))
        print(
            f"original / ours: {times['original'] / times['ours']:.1f}; {100 * np.mean(apart > 0):.2f} % of the "
            "values differ"
        )


def damaged_packed(number: int) -> Callable[[Path], int]:
    """What reads damaged file `number` of a kind: writes it into a folder and returns how many frames it gave."""
    rng = np.random.default_rng(number)
    kind = ("lmdb", "tfrecord", "clips.txt", "frames.txt")[number % 4]
    data = bytearray(_originals()[kind])
    for _ in range(int(rng.integers(1, 6))):
        _damage(data, kind, rng)

    def read(folder: Path) -> int:
        if kind == "lmdb":
            place = folder / f"{number}.lmdb"
            place.mkdir()
            (place / "data.mdb").write_bytes(data)
            return _read_all(place)
        place = folder / f"{number}.{kind}"
        place.write_bytes(data)
        if kind == "tfrecord":
            return _read_all(place)
        return len(read_meta_info(place) if kind == "clips.txt" else read_frame_list(place))

    return read


def _read_all(place: Path) -> int:
    frames = [path for clip in folders_of_frames(place, "").values() for path in list_images(clip)[0]]
    return sum(read_image(path).size > 0 for path in frames)


_made: dict[str, bytes] = {}


def _originals() -> dict[str, bytes]:
    if not _made:
        rng = np.random.default_rng(0)
        frames = []
        for clip in range(6):
            for frame in range(12):
                pixels = rng.integers(0, 256, (8 + 60 * (frame == 0), 12, 3), np.uint8)  # on one page, on several
                frames.append(Entry(f"{clip:03d}/{frame:08d}", encode_image(pixels, ".png"), pixels.shape))
        with tempfile.TemporaryDirectory() as folder:
            write_lmdb(Path(folder, "x.lmdb"), frames)
            write_tfrecord(Path(folder, "x.tfrecord"), frames)
            _made["lmdb"] = Path(folder, "x.lmdb", "data.mdb").read_bytes()
            _made["tfrecord"] = Path(folder, "x.tfrecord").read_bytes()
            _made["frames.txt"] = Path(folder, "x.lmdb", "meta_info.txt").read_bytes()
        _made["clips.txt"] = b"".join(b"%03d 100 (720,1280,3) %d\r\n" % (clip, clip) for clip in range(60))
    return _made


def _damage(data: bytearray, kind: str, rng: np.random.Generator) -> None:
    """A change in what says how the file is built up, or anywhere."""
    if not data:
        return
    way = int(rng.integers(0, 6))
    if kind == "lmdb" and way <= 2:  # the head of a page: its number, kind, bounds; the places and heads of entries
        page = int(rng.integers(0, max(len(data) // 4096, 1))) * 4096
        at = page + int(rng.integers(0, 200 if page >= 8192 else 160))
        value = rng.bytes(int(rng.integers(1, 9))) if way else bytes([rng.choice([0, 1, 255, 2, 16])]) * 8
        data[at : at + len(value)] = value
    elif way <= 3:
        at = int(rng.integers(0, len(data)))
        data[at] = int(rng.integers(0, 256))
    elif way == 4:
        source, target, length = (int(rng.integers(0, len(data))) for _ in range(3))
        data[target : target + length % 4096] = data[source : source + length % 4096]
    else:
        del data[int(rng.integers(0, len(data))) :]
