"""Reading and writing by themselves: python -m benchmarks.io [PART ...], all parts without

speed   a 1080p video decoded, made 720p and encoded (H.264, medium), beside the ffmpeg program doing the same
        (--ffmpeg PROGRAM; without one, alone)
network 180x320 restored by an EDVR of 16 channels and encoded (H.264, medium), beside the network alone
memory  the most memory of that, of 30 and of 3,000 frames
ssim    SSIM of a 720p frame beside scikit-image's, and how far both are apart
clips   training samples per second from folders, LMDB and TFRecord files
imresize   MATLAB's bicubic of a 720p frame, beside another one in NumPy (--imresize FILE.py; without one, alone)
fuzz    damaged images, videos, packed data sets and lists of clips: whether each gives frames or one line, in
        bounded time and memory
"""

import argparse
import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from ascendcv.dataloader import png, tiff
from ascendcv.dataloader.frame_sink import open_sink
from ascendcv.dataloader.frame_source import open_source, prefetch
from ascendcv.dataloader.pixels import to_unit_rgb
from ascendcv.metrics.ssim import ssim
from ascendcv.utils.errors import InputError
from benchmarks import packed
from benchmarks.timing import median_costs, median_times, peak_memory

_PARTS = ("speed", "network", "memory", "ssim", "clips", "imresize", "fuzz")
FRAMES = 120
FUZZ_SECONDS, FUZZ_MEMORY = 30, 1 << 30  # that one damaged file may take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[[], *_PARTS], default=list(_PARTS))
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"), help="the program to compare with")
    parser.add_argument("--images", type=int, default=10_000, help="how many damaged images to read")
    parser.add_argument("--videos", type=int, default=500, help="how many damaged videos to read")
    parser.add_argument("--packed", type=int, default=20_000, help="how many damaged LMDBs, TFRecords and lists")
    parser.add_argument("--imresize", metavar="FILE.py", help="a module with imresize(image, scale)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "speed" in arguments.what:
            speed(Path(folder), arguments.ffmpeg, arguments.rounds)
        if "network" in arguments.what:
            network(Path(folder), arguments.rounds)
        if "memory" in arguments.what:
            memory(Path(folder))
        if "ssim" in arguments.what:
            similarity(arguments.rounds)
        if "clips" in arguments.what:
            packed.clips(Path(folder, "clips"), make_picture(720, 1280))
        if "imresize" in arguments.what:
            packed.resizing(arguments.imresize, make_picture(720, 1280), arguments.rounds)
        if "fuzz" in arguments.what:
            fuzz(Path(folder), {"image": arguments.images, "video": arguments.videos, "packed": arguments.packed})


def speed(folder: Path, program: str | None, rounds: int) -> None:
    """Prints frames per second of wall time, and processor time per frame; runs take turns."""
    source = make_video(folder / "in.mp4", FRAMES, 1080, 1920)
    runs = {"ours": lambda: convert(source, folder / "ours.mp4")}
    if program is not None:
        scale = "scale=1280:720:flags=bicubic"
        options = ["-c:v", "libx264", "-preset", "medium", "-crf", "16", "-pix_fmt", "yuv420p"]
        command = [program, "-v", "error", "-y", "-i", str(source), "-vf", scale, *options, str(folder / "its.mp4")]
        runs["ffmpeg"] = lambda: subprocess.run(command, check=True)
    wall, processor = {name: [] for name in runs}, {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            before, start = processor_seconds(), time.perf_counter()
            run()
            wall[name].append(time.perf_counter() - start)
            processor[name].append(processor_seconds() - before)
    for name in runs:
        seconds, busy = min(wall[name]), min(processor[name])
        print(f"{name}: {FRAMES / seconds:.1f} frames/s, {1000 * busy / FRAMES:.1f} ms of processors per frame")
    if len(runs) == 2:
        ratios = [min(times["ours"]) / min(times["ffmpeg"]) for times in (wall, processor)]
        print(f"ours / ffmpeg: {ratios[0]:.2f} of the time, {ratios[1]:.2f} of the processors")


def network(folder: Path, rounds: int) -> None:
    """Prints what reading, converting and encoding add to the network's time; runs take turns."""
    from ascendvsr import EDVR, restore
    from ascendvsr.restoration.loops import restored_frames
    from ascendvsr.restoration.runner import as_runner
    from ascendvsr.restoration.settings import Settings

    count = 24
    source = make_video(folder / "small.mp4", count, 180, 320)
    runner = as_runner(EDVR(num_feat=16))
    frames = [to_unit_rgb(frame.pixels) for frame in open_source(source)]
    runs = {
        "whole": lambda: restore(runner, source, folder / "large.mp4", progress=False),
        "network": lambda: sum(1 for _ in restored_frames(runner, iter(frames), Settings())),
    }
    costs = median_costs(runs, rounds)
    for name, cost in costs.items():
        busy = 1000 * cost.processor / count
        print(f"{name}: {count / cost.wall:.2f} frames/s, {busy:.0f} ms of processors per frame")
    print(f"whole / network: {costs['whole'].wall / costs['network'].wall:.2f} of the time")


def similarity(rounds: int) -> None:
    """Prints both times and values, of the same image and definition (Wang et al.); runs take turns."""
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (90, 160, 3), np.uint8)
    truth = np.asarray(Image.fromarray(small).resize((1280, 720), Image.Resampling.BICUBIC))
    image = np.clip(truth + rng.normal(0, 8, truth.shape), 0, 255).astype(np.uint8)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    runs = {
        "ours": lambda: ssim(image, truth),
        "scikit-image": lambda: structural_similarity(image, truth, channel_axis=-1, **options),
    }
    seconds = median_times(runs, max(rounds, 3))
    difference = abs(runs["ours"]() - runs["scikit-image"]())
    print(
        f"SSIM of 1280x720: {1000 * seconds['ours']:.0f} ms, scikit-image {1000 * seconds['scikit-image']:.0f} ms: "
        f"{seconds['scikit-image'] / seconds['ours']:.1f} times as fast; the values differ by {difference:.1e}"
    )


def memory(folder: Path) -> None:
    """Prints the peak of a process that restores nothing but reads and writes."""
    peaks = []
    for count in (30, 3000):
        source = make_video(folder / f"{count}.mp4", count, 360, 640)
        peaks.append(peak_memory(conversion, source, folder / f"{count}.out.mp4"))
        print(f"{count} frames: {peaks[-1]} MiB")
    print(f"3000 / 30 frames: {peaks[1] / peaks[0]:.3f}")


def conversion(source: Path, target: Path) -> Callable[[], None]:
    return lambda: convert(source, target)


def convert(source: Path, target: Path) -> None:
    """Reads a video, makes it smaller and writes it, each on a thread of its own."""
    given = open_source(source)
    to_planes, resize, to_pixels = VideoReformatter(), VideoReformatter(), VideoReformatter()
    with open_sink(target, like=given.footage) as write:
        for frame in prefetch(given):
            height, width = (side * 2 // 3 for side in frame.pixels.shape[:2])
            # swscale resizes planes in a third of the time that it takes for packed pixels.
            planes = to_planes.reformat(av.VideoFrame.from_ndarray(frame.pixels), format="gbrp", threads=1)
            smaller = resize.reformat(planes, height=height, width=width, interpolation="BICUBIC", threads=1)
            write(frame.name, to_pixels.reformat(smaller, format="rgb24", threads=1).to_ndarray(), frame)


def make_picture(height: int, width: int) -> np.ndarray:
    """[H, W, 3] with details of all sizes, as photographs have them."""
    large = np.full((height, width, 3), 128.0)
    for size, contrast in ((64, 50), (16, 25), (4, 12), (1, 4)):
        noise = np.random.default_rng(size).integers(
            0, 256, (large.shape[0] // size, large.shape[1] // size, 3), np.uint8
        )
        detail = Image.fromarray(noise).resize(large.shape[1::-1], Image.Resampling.BICUBIC)
        large += (np.asarray(detail) / 127.5 - 1) * contrast
    return np.clip(large, 0, 255).astype(np.uint8)


def make_video(path: Path, count: int, height: int, width: int) -> Path:
    """A picture that moves, as H.264."""
    large = make_picture(height + 128, width + 512)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30, options={"preset": "veryfast", "crf": "20"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for index in range(count):
            top, left = abs(index % 128 - 64), abs(index * 2 % 512 - 256)
            pixels = np.ascontiguousarray(large[top : top + height, left : left + width])
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 30)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


def processor_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def fuzz(folder: Path, counts: Mapping[str, int]) -> None:
    """Each file is read by a process that a crash ends alone; the files that ended one are kept."""
    for kind, count in counts.items():
        outcomes, number = Counter(), 0
        while number < count:
            command = [
                sys.executable,
                "-c",
                f"from benchmarks.io import fuzz_some; fuzz_some({kind!r}, {number}, {count})",
            ]
            result = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, cwd=folder, env=os.environ | {"PYTHONPATH": os.getcwd()}
            )
            lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
            outcomes.update(outcome for _, outcome in lines)
            number = int(lines[-1][0]) + 1 if lines else number + 1
            if result.returncode:
                outcomes[f"ended by {result.returncode}"] += 1
                kept = Path(f"fuzz-{kind}-{number}").resolve()
                shutil.copy(folder / "damaged", kept)
                print(f"{kept} ended a process ({result.returncode})")
                number += 1
        print(f"{kind}: " + ", ".join(f"{total} {outcome}" for outcome, total in outcomes.most_common()))


def fuzz_some(kind: str, first: int, count: int) -> None:
    """Reads damaged files of these numbers, and prints a line for each."""
    import signal

    def too_slow(*_):
        os._exit(99)

    signal.signal(signal.SIGALRM, too_slow)
    if kind == "packed":
        packed.damaged_packed(0)  # makes what is damaged then: to write an LMDB takes a large address space
    resource.setrlimit(resource.RLIMIT_AS, (FUZZ_MEMORY * 4, FUZZ_MEMORY * 4))
    originals = {"image": image_samples, "video": video_samples, "packed": dict}[kind]()
    for number in range(first, count):
        if kind == "packed":
            signal.alarm(FUZZ_SECONDS)
            outcome = fuzz_packed(number)
            signal.alarm(0)
            print(number, outcome, flush=True)
            continue
        rng = np.random.default_rng(number)
        name, data = list(originals.items())[number % len(originals)]
        Path("damaged").write_bytes(damage(data, rng))
        path = Path(f"damaged-{kind}").with_suffix(Path(name).suffix)
        shutil.copy("damaged", path)
        signal.alarm(FUZZ_SECONDS)
        try:
            frames = sum(1 for _ in open_source(path))
            outcome = "gave frames" if frames else "gave none"
        except InputError as error:
            outcome = "said why" if str(path) in str(error) and "\n" not in str(error) else f"said {error!r}"
        except BaseException as error:
            outcome = f"raised {type(error).__name__}"
            shutil.copy("damaged", f"/tmp/fuzz-{kind}-{number}{path.suffix}")
        signal.alarm(0)
        print(number, outcome, flush=True)


def fuzz_packed(number: int) -> str:
    """Reads a damaged data set or list."""
    read = packed.damaged_packed(number)
    with tempfile.TemporaryDirectory() as folder:
        try:
            return "gave frames" if read(Path(folder)) else "gave none"
        except InputError as error:
            return "said why" if folder in str(error) and "\n" not in str(error) else f"said {error!r}"
        except BaseException as error:
            return f"raised {error!r}"


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, a part zeroed, or the end cut off."""
    damaged = bytearray(data)
    way = rng.integers(0, 4)
    if way <= 1:
        for _ in range(rng.integers(1, 20)):
            damaged[rng.integers(0, len(damaged))] = rng.integers(0, 256)
    elif way == 2:
        start = rng.integers(0, len(damaged))
        length = min(rng.integers(1, 400), len(damaged) - start)
        damaged[start : start + length] = bytes(int(length))
    else:
        damaged = damaged[: rng.integers(0, len(damaged))]
        if damaged:
            damaged[rng.integers(0, len(damaged))] ^= 1
    return bytes(damaged)


def image_samples() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 8, 4), np.uint8)
    picture = np.asarray(Image.fromarray(small).resize((64, 48)))
    deep = picture.astype(np.uint16) * 257
    samples = {"a.png": png.encode(picture), "b.png": png.encode(deep), "c.tif": tiff.encode(deep[..., :3])}
    for name, mode, options in (
        ("d.jpg", "RGB", {}),
        ("e.jpg", "L", {"progressive": True}),
        ("f.webp", "RGB", {}),
        ("g.webp", "RGBA", {"lossless": True}),
        ("h.bmp", "RGB", {}),
        ("i.gif", "P", {}),
        ("j.tif", "RGB", {"compression": "tiff_lzw"}),
        ("k.png", "P", {"transparency": 0}),
        ("l.png", "1", {}),
    ):
        buffer = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF"}.get(name[2:], name[2:].upper())
        Image.fromarray(picture).convert("RGB" if mode != "RGBA" else mode).convert(mode).save(
            buffer, kind, **options
        )
        samples[name] = buffer.getvalue()
    for kind in ("GIF", "PNG", "WEBP"):
        buffer = io.BytesIO()
        frames = [Image.fromarray(np.roll(picture, 5 * index, 1)).convert("RGB") for index in range(3)]
        frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], duration=40)
        samples[f"m.{kind.lower()}"] = buffer.getvalue()
    return samples


def video_samples() -> dict[str, bytes]:
    samples = {}
    for name, codec, pixel_format in (
        ("a.mp4", "libx264", "yuv420p"),
        ("b.mkv", "libx265", "yuv420p10le"),
        ("c.webm", "libvpx-vp9", "yuv420p"),
        ("d.mov", "prores_ks", "yuv422p10le"),
        ("e.avi", "mpeg4", "yuv420p"),
        ("f.ts", "mpeg2video", "yuv420p"),
        ("g.mkv", "ffv1", "yuv444p"),
        ("h.y4m", "wrapped_avframe", "yuv420p"),
        ("i.mp4", "libsvtav1", "yuv420p"),
        ("j.flv", "libx264", "yuv420p"),
    ):
        os.environ.setdefault("SVT_LOG", "1")
        options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
        with av.open(name, "w", format="yuv4mpegpipe" if name.endswith("y4m") else None) as output:
            stream = output.add_stream(codec, rate=25, options=options)
            stream.height, stream.width, stream.pix_fmt = 64, 96, pixel_format
            for index in range(20):
                pixels = np.add.outer(np.arange(64), np.arange(96) * 2 + 3 * index).astype(np.uint8)
                frame = av.VideoFrame.from_ndarray(np.repeat(pixels[..., None], 3, 2), "rgb24")
                frame = frame.reformat(format=pixel_format)
                frame.pts = index
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        samples[name] = Path(name).read_bytes()
    return samples


if __name__ == "__main__":
    main()
