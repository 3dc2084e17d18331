"""Every frame that goes in comes out, restored from the right window, in the format that it had."""

import functools
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.degrade import imresize
from ascendcv.dataloader.frame_sink import array_sink, open_sink
from ascendcv.dataloader.frame_source import open_source
from ascendcv.dataloader.image import read_image, write_image
from ascendcv.dataloader.pixels import quantize, to_unit
from ascendcv.dataloader.windows import MODES, window_indices
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models import card_named
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.inference import inference
from ascendvsr.restoration.loops import restored_frames, sliding_windows
from ascendvsr.restoration.restore import marker, restore, restore_frames
from ascendvsr.restoration.runner import Runner
from ascendvsr.restoration.settings import Settings
from tests.networks import Mixture, Neighbors, Recurrence, Stream, runner
from tests.support import PROJECT, TINY_EDVR


def restored_array(network: Runner, source, **settings) -> list[np.ndarray]:
    frames = []
    restore(network, source, array_sink(frames), Settings(**settings), progress=False)
    return frames


def noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def test_frames_that_are_still_being_written_at_the_end_are_told(tmp_path, monkeypatch, capsys):
    written = threading.Event()
    write = write_image

    def slowly(*arguments):
        assert written.wait(60)
        write(*arguments)

    monkeypatch.setattr("ascendcv.dataloader.frame_sink.write_image", slowly)
    count = []

    def watch(frame, pixels):
        count.append(frame)
        if len(count) == 3:
            threading.Timer(0.3, written.set).start()

    sink = open_sink(tmp_path / "out", num_threads=2, queue_size=8)
    source = open_source(noise(3, 8, 8, 3))
    restore_frames(runner(Mixture(scale=1)), source, sink, Settings(), mark=marker("off"), watch=watch)
    assert "3 frames are still being written" in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("ends", MODES)
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 6, 7, 11])
@pytest.mark.parametrize(("num_frames", "center"), [(1, 0), (3, 1), (5, 2), (7, 3)])
def test_windows_are_those_of_a_clip_of_known_length(num_frames, center, length, ends):
    windows = list(sliding_windows(iter(range(length)), num_frames, center, ends))
    assert windows == [window_indices(position, length, num_frames, ends) for position in range(length)]


@pytest.mark.parametrize(("num_frames", "center"), [(2, 0), (4, 2), (5, 0), (5, 4)])
def test_a_window_may_have_its_frame_anywhere(num_frames, center):
    for position, window in enumerate(sliding_windows(iter(range(9)), num_frames, center, "replicate")):
        assert window == [min(max(position + offset, 0), 8) for offset in range(-center, num_frames - center)]


@pytest.mark.parametrize("ends", MODES)
def test_no_more_frames_are_read_ahead_than_a_window_needs(ends):
    taken = []
    windows = sliding_windows((taken.append(number) or number for number in range(100)), 5, 2, ends)
    for position in range(90):
        next(windows)
        assert len(taken) <= max(position + 3, 5)


@pytest.mark.parametrize("batch_size", [1, 3, 20])
@pytest.mark.parametrize("ends", MODES)
def test_a_video_of_unknown_length_is_restored_from_the_right_frames(ends, batch_size):
    proportions = [0.1, 0.3, 0.05, 0.35, 0.2]
    frames = np.random.default_rng(0).random((8, 4, 5, 3), dtype=np.float32)
    network, settings = runner(Mixture(scale=1, proportions=proportions)), Settings(ends, batch_size=batch_size)
    restored = list(restored_frames(network, iter(frames), settings))
    assert len(restored) == 8
    for position, frame in enumerate(restored):
        window = frames[window_indices(position, 8, 5, ends)]
        np.testing.assert_allclose(frame, np.tensordot(proportions, window, 1), atol=1e-6)


def test_there_is_one_trace_per_shape():
    model = Mixture()
    network = runner(model)
    for size in (6, 8, 6, 6):
        restored_array(network, noise(3, size, 7, 3))
    assert model.traces == 2


def test_weights_that_change_between_clips_are_used():
    class Scaled(Mixture):
        def build(self, shape):
            self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

        def call(self, clip, training=False):
            return super().call(clip) * self.gain

    model, frames = Scaled(), np.full((2, 6, 7, 3), 100, np.uint8)
    network = runner(model)
    assert np.all(restored_array(network, frames)[0] == 100)
    model.gain.assign(0.5)
    assert np.all(restored_array(network, frames)[0] == 50)


@pytest.mark.parametrize("length", [1, 2, 6])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_keep_their_kind_and_depth(channels, dtype, length):
    frames = noise(length, 6, 7, channels, dtype=dtype)
    restored = restored_array(runner(Mixture()), frames)
    expected = frames.repeat(2, axis=1).repeat(2, axis=2)
    assert restored[0].dtype == dtype
    # In 16 bits, the luma of a gray value may be a step beside it: float32 has 24 bits.
    np.testing.assert_allclose(np.stack(restored), expected, atol=dtype == np.uint16)


class Echo(Recurrence):
    """A sum of two frames: those of more have other bits from time to time, by which frame is ready first."""

    def step(self, frames, state=None):
        before = (self.first_state(frames) if state is None else state)["restored"]
        restored = 0.4 * frames[:, 1] + 0.6 * before
        return restored, {"restored": restored}


@pytest.mark.parametrize("dtypes", [[np.uint8], [np.uint16], [np.uint8, np.uint16, np.float32]])
@pytest.mark.parametrize(
    ("model", "settings"),
    [
        (Mixture, {}),
        (Mixture, {"batch_size": 2}),
        (Mixture, {"tile": (12, 16), "tile_overlap": 8}),
        (Stream, {}),
        (Echo, {}),
        (Echo, {"tile": (12, 16), "tile_overlap": 8}),
        (functools.partial(Neighbors, reach=0), {}),
        (functools.partial(Neighbors, reach=0), {"tile_frames": 4, "tile_frames_overlap": 2}),
    ],
)
def test_pixels_come_out_as_the_rounded_values_of_frames_in_0_to_1(model, dtypes, settings):
    """Bit for bit, whether the backend rounds or, behind tiles and chunks, NumPy does; each frame as it went in."""
    kinds = [np.dtype(dtypes[number % len(dtypes)]) for number in range(7)]
    frames = [np.random.default_rng(number).random((21, 30, 3), np.float32) for number in range(7)]
    frames = [
        frame if kind == np.float32 else quantize(frame, kind) for frame, kind in zip(frames, kinds, strict=True)
    ]
    restored = list(restored_frames(runner(model()), iter(frames), Settings(**settings)))
    values = list(restored_frames(runner(model()), map(to_unit, frames), Settings(**settings)))
    for frame, value, kind in zip(restored, values, kinds, strict=True):
        assert frame.dtype == kind
        np.testing.assert_array_equal(frame, value if kind == np.float32 else quantize(value, kind))


@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_resized_apart(channels):
    frames = noise(3, 6, 7, channels)
    restored = restored_array(runner(Mixture()), frames)
    for frame, original in zip(restored, frames, strict=True):
        np.testing.assert_array_equal(frame[..., -1:], imresize(original[..., -1:], 2))
        np.testing.assert_array_equal(frame[..., :-1], original[..., :-1].repeat(2, axis=0).repeat(2, axis=1))


def test_values_are_clipped_and_rounded_half_to_even():
    values = np.array([-0.1, 0.5 / 255, 1.5 / 255, 2.5 / 255, 1.2], np.float32)
    np.testing.assert_array_equal(quantize(values, np.uint8), [0, 0, 2, 2, 255])
    assert quantize(np.float32([1.0]), np.uint16) == 65535


def test_a_folder_keeps_the_names_of_its_frames(tmp_path):
    for name, frame in zip(("a2", "a10", "b"), noise(3, 6, 7, 3), strict=True):
        write_image(tmp_path / "in" / f"{name}.png", frame)
    assert restore(runner(Mixture()), tmp_path / "in", tmp_path / "out", progress=False) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a10.png", "a2.png", "b.png"]
    np.testing.assert_array_equal(
        read_image(tmp_path / "out/a2.png"), read_image(tmp_path / "in/a2.png").repeat(2, 0).repeat(2, 1)
    )


def test_a_video_becomes_a_video_of_its_rate(tmp_path, photograph):
    with open_sink(tmp_path / "in.mp4", fps=30000 / 1001) as write:
        for index in range(9):
            write(str(index), photograph[100:148, 100 + index : 164 + index])
    assert restore(runner(Mixture()), tmp_path / "in.mp4", tmp_path / "out.mp4", progress=False) == 9
    before, after = open_source(tmp_path / "in.mp4"), open_source(tmp_path / "out.mp4")
    assert after.fps == before.fps
    pairs = list(zip(before, after, strict=True))
    assert len(pairs) == 9
    for (_, original), (_, restored) in pairs:
        error = restored.astype(float) - original.repeat(2, axis=0).repeat(2, axis=1)
        assert np.square(error).mean() < 65025 / 10**3.5  # 35 dB


def test_tiled_frames_equal_whole_ones():
    frames = noise(3, 40, 50, 3)
    whole = restored_array(runner(Mixture()), frames)
    np.testing.assert_array_equal(restored_array(runner(Mixture()), frames, tile=(16, 24), tile_overlap=8), whole)


def test_a_damaged_frame_is_named_and_the_frames_before_it_are_kept(tmp_path):
    for number in range(12):
        write_image(tmp_path / "in" / f"{number:02}.png", noise(32, 32, 3))
    damaged = tmp_path / "in" / "09.png"
    data = bytearray(damaged.read_bytes())
    data[200:400] = bytes(200)
    damaged.write_bytes(data)
    before = threading.active_count()
    with pytest.raises(InputError, match=str(damaged)):
        restore(runner(Mixture()), tmp_path / "in", tmp_path / "out", progress=False)
    assert threading.active_count() == before
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{number:02}.png" for number in range(len(names))]
    for name in names:
        assert read_image(tmp_path / "out" / name).shape == (64, 64, 3)


def test_progress_without_a_terminal_is_silent_at_first(capsys):
    restore(runner(Mixture()), noise(3, 6, 7, 3), array_sink([]))
    assert capsys.readouterr() == ("", "")


_STARTED: list[subprocess.Popen] = []


@pytest.fixture(autouse=True)
def _ended() -> Iterator[None]:
    """No process outlives its test, whose frames may have no end."""
    yield
    for process in _STARTED:
        process.kill()
    _STARTED.clear()


def start(script: str, *arguments: object) -> subprocess.Popen:
    """A process that runs a script with a source of as many frames as it likes."""
    prelude = """
        import itertools, resource, sys
        import numpy as np
        from ascendcv.dataloader.frame_sink import open_sink
        from ascendvsr.restoration.restore import restore
        from tests.networks import Mixture, runner

        def frames(count):
            for index in itertools.islice(itertools.count(), count):
                yield f"{index:08}", np.random.default_rng(index).integers(0, 255, (256, 256, 3), np.uint8)
    """
    code = textwrap.dedent(prelude) + textwrap.dedent(script)
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(PROJECT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    _STARTED.append(subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment, **pipes))
    return _STARTED[-1]


def test_memory_does_not_grow_with_the_length(tmp_path):
    """180 more frames would be 35 MB as bytes before and 140 MB after, and four times that as floats.

    The encoder looks some frames ahead, which 60 have filled.
    """
    script = """
        network = runner(Mixture())
        for name in ("frames", "video.mp4"):
            for count in (60, 240):
                sink = open_sink(f"{sys.argv[1]}/{count}/{name}", num_threads=2)
                restore(network, frames(count), sink, progress=False)
                print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
    """
    output, errors = start(script, tmp_path).communicate(timeout=300)
    peaks = [int(line) for line in output.split()]
    assert len(peaks) == 4, errors
    assert peaks[1] < peaks[0] + 12, peaks
    assert peaks[3] < peaks[2] + 12, peaks


@pytest.mark.parametrize("name", ["out", "out.mp4"])
def test_ctrl_c_ends_at_once_and_leaves_whole_files_only(tmp_path, name):
    script = """
        def told(pairs):
            for index, pair in enumerate(pairs):
                if index == 30:
                    print("under way", flush=True)
                yield pair
        restore(runner(Mixture()), told(frames(None)), sys.argv[1], progress=False)
    """
    process = start(script, tmp_path / name)
    assert process.stdout.readline() == "under way\n", process.stderr.read()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)  # the frames have no end
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    if name == "out":
        written = sorted((tmp_path / name).iterdir())
        assert [path.name for path in written] == [f"{index:08}.png" for index in range(len(written))]
        assert all(read_image(path).shape == (512, 512, 3) for path in written)
    else:
        assert not list(tmp_path.iterdir())


def configured(tmp_path: Path, **settings: object):
    keys = {key.replace("__", "."): value for key, value in settings.items()}
    return load_config(settings=TINY_EDVR | {"output_dir": str(tmp_path / "outputs")} | keys)


def infer(cfg, network=lambda: runner(Mixture())) -> None:
    inference(cfg, card_named(cfg.model.name), network)


def test_inference_restores_the_evaluation_set_where_the_release_put_it(tmp_path, reds_set):
    infer(configured(tmp_path, data__data_dir=str(reds_set)), lambda: runner(Mixture(scale=4)))
    results = tmp_path / "outputs/test"
    found = sorted(str(path.relative_to(results)) for path in results.rglob("*.png"))
    assert found == [f"{clip}/blur4/{frame:08d}.png" for clip in ("000", "011") for frame in range(3)]


def test_inference_restores_each_clip_of_a_folder(tmp_path, capsys):
    for clip, length in (("a", 1), ("b", 3)):
        for index in range(length):
            write_image(tmp_path / "in" / clip / f"{index}.png", noise(6, 7, 3))
    (tmp_path / "in/b/notes.txt").write_text("no frame")
    infer(configured(tmp_path, inference__input=str(tmp_path / "in")))
    results = tmp_path / "outputs/test"
    assert sorted(str(path.relative_to(results)) for path in results.rglob("*.png")) == [
        "a/0.png",
        "b/0.png",
        "b/1.png",
        "b/2.png",
    ]
    assert "ignored 1 other file" in capsys.readouterr().out


def test_inference_checks_every_clip_before_it_makes_the_network(tmp_path):
    write_image(tmp_path / "in/a/0.png", noise(6, 7, 3))
    write_image(tmp_path / "in/b/0.png", noise(6, 7, 3))
    write_image(tmp_path / "in/b/1.png", noise(6, 8, 3))
    with pytest.raises(InputError, match=r"b/1\.png"):
        infer(configured(tmp_path, inference__input=str(tmp_path / "in")), lambda: pytest.fail("too early"))
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("output", ["in", "in/../in", "in/inside"])
def test_inference_never_writes_into_its_input(tmp_path, output):
    write_image(tmp_path / "in/clip/0.png", noise(6, 7, 3))
    settings = {"inference__input": str(tmp_path / "in"), "inference__output": str(tmp_path / output)}
    with pytest.raises(InputError, match="output"):
        infer(configured(tmp_path, **settings))
    settings = {"inference__input": str(tmp_path / "in/clip"), "inference__output": str(tmp_path / "in/clip")}
    with pytest.raises(InputError, match="output"):
        infer(configured(tmp_path, **settings))


def test_inference_in_tiles_needs_tiles_larger_than_their_overlap(tmp_path, reds_set):
    settings = {"data__eval_in_patch": True, "data__eval_in_size": [32, 32], "data__eval_pad_size": 32}
    with pytest.raises(InputError, match=r"data\.eval_in_size"):
        infer(configured(tmp_path, data__data_dir=str(reds_set), **settings))


def test_edvr_restores_odd_sizes_whole_and_in_tiles(tiny_edvr):
    """Its receptive field is larger than the overlap: tiles differ from the whole, but by little."""
    frames = np.random.default_rng(0).random((2, 41, 75, 3), dtype=np.float32)
    network = KerasRunner(tiny_edvr)
    whole = np.stack(list(restored_frames(network, frames)))
    assert whole.shape == (2, 164, 300, 3)
    tiled = np.stack(list(restored_frames(network, frames, Settings(tile=(41, 64), tile_overlap=48))))
    assert np.square(tiled - whole).mean() < 1e-4 * np.var(whole)
