"""Networks that restore whole clips: any number of frames, chunks in time, tiles in space, noise levels."""

import numpy as np
import pytest

from ascendcv.dataloader.frame_sink import array_sink
from ascendcv.dataloader.image import read_image, write_image
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models import card_named
from ascendvsr.models.flow.spynet import SpyNet
from ascendvsr.models.keras_runner import KerasRunner
from ascendvsr.restoration.inference import inference
from ascendvsr.restoration.loops import restored_frames
from ascendvsr.restoration.restore import restore
from ascendvsr.restoration.settings import Settings, read_settings
from tests.networks import Mixture, Neighbors, runner

OFFICIAL = {"eval.blending": "official"}


def frames_of(length: int, height: int = 6, width: int = 7) -> np.ndarray:
    return np.random.default_rng(0).random((length, height, width, 3), dtype=np.float32)


def restored(model, frames, sigma=None, **settings) -> np.ndarray:
    return np.stack(list(restored_frames(runner(model), iter(frames), Settings(**settings), sigma=sigma)))


def neighbors_mean(frames: np.ndarray, reach: int = 1) -> np.ndarray:
    padded = np.pad(frames, ((reach, reach), (0, 0), (0, 0), (0, 0)), mode="edge")
    return sum(padded[step : step + len(frames)] for step in range(2 * reach + 1)) / (2 * reach + 1)


@pytest.mark.parametrize("length", [1, 2, 5, 8, 9, 30])
def test_every_frame_comes_out_restored_as_in_the_whole_clip(length):
    frames = frames_of(length)
    result = restored(Neighbors(), frames, tile_frames=8, tile_frames_overlap=4)
    np.testing.assert_allclose(result, neighbors_mean(frames), atol=1e-6)


def test_all_chunks_of_a_long_video_have_one_length_and_one_trace():
    model = Neighbors()
    restored(model, frames_of(29), tile_frames=8, tile_frames_overlap=4)
    assert model.lengths == [8]


@pytest.mark.parametrize("tile", [None, (16, 24)])
@pytest.mark.parametrize("tile_frames", [0, 6])
def test_tiles_in_space_and_time_equal_the_whole(tile, tile_frames):
    frames = frames_of(10, 30, 41)
    settings = {"tile": tile, "tile_overlap": 8, "tile_frames": tile_frames, "tile_frames_overlap": 4}
    result = restored(Neighbors(scale=2), frames, **settings)
    expected = neighbors_mean(frames).repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("length", [1, 3, 4])
def test_official_blending_pads_where_it_does_not_tile(length, tile):
    model = Neighbors(reach=0)
    frames = frames_of(length, 21, 30)
    settings = {"blending": "official", "tile": tile, "tile_overlap": 6, "tile_frames": 0}
    np.testing.assert_allclose(restored(model, frames, **settings), frames, atol=1e-6)
    assert model.lengths == [length + length % 2]


def test_gray_frames_of_16_bits_keep_their_kind():
    frames = np.random.default_rng(0).integers(0, 65535, (5, 6, 7, 1)).astype(np.uint16)
    result = []
    network, settings = runner(Neighbors(reach=0, scale=2)), Settings(tile_frames=4, tile_frames_overlap=2)
    assert restore(network, frames, array_sink(result), settings, progress=False) == 5
    np.testing.assert_allclose(np.stack(result), frames.repeat(2, axis=1).repeat(2, axis=2), atol=1)


class TestNoiseLevel:
    """Four input channels: the deviation of the noise, divided by 255, is the last one."""

    def test_one_number_is_the_same_everywhere(self):
        frames = frames_of(3)
        result = restored(Neighbors(reach=0, in_channels=4), frames, sigma=25.5)
        np.testing.assert_allclose(result, frames + 0.1, atol=1e-6)

    def test_a_map_has_its_value_at_each_pixel(self):
        frames, sigma = frames_of(3), np.arange(42, dtype=np.float32).reshape(6, 7)
        result = restored(Neighbors(reach=0, in_channels=4), frames, sigma=sigma)
        np.testing.assert_allclose(result, frames + sigma[..., np.newaxis] / 255, atol=1e-6)

    def test_it_is_cut_into_tiles_with_the_frames(self):
        frames, sigma = frames_of(3, 20, 30), np.arange(600, dtype=np.float32).reshape(20, 30)
        result = restored(Neighbors(reach=0, in_channels=4), frames, sigma=sigma, tile=(8, 8), tile_overlap=4)
        np.testing.assert_allclose(result, frames + sigma[..., np.newaxis] / 255, atol=1e-5)

    def test_a_map_of_another_size_is_refused(self):
        with pytest.raises(InputError, match="5x4 pixels, the frames have 7x6"):
            restored(Neighbors(in_channels=4), frames_of(3), sigma=np.zeros((4, 5)))

    def test_a_network_that_must_be_told_is_not_run_without(self):
        with pytest.raises(InputError, match="--sigma 30"):
            restored_frames(runner(Neighbors(in_channels=4)), frames_of(3))

    @pytest.mark.parametrize("model", [Neighbors(), Mixture()])
    def test_a_network_that_takes_none_is_not_given_one(self, model):
        with pytest.raises(InputError, match="takes no noise level"):
            restored_frames(runner(model), frames_of(3), sigma=20)

    def test_the_command_gives_each_clip_its_own(self, tmp_path):
        for clip in ("a", "b c"):
            write_image(tmp_path / "in" / clip / "0.png", np.full((8, 8, 3), 100, np.uint8))
        (tmp_path / "levels.txt").write_text("a 10\n\nb c   20.0\n")
        cfg = self.configured(tmp_path, sigma=str(tmp_path / "levels.txt"))
        inference(cfg, card_named("RVRT"), lambda: runner(Neighbors(reach=0, in_channels=4)))
        for clip, level in (("a", 10), ("b c", 20)):
            assert np.all(read_image(tmp_path / "out/test" / clip / "0.png") == 100 + level)

    @pytest.mark.parametrize(
        ("sigma", "message"),
        [
            ("", "must be told"),
            ("-3", "0 or more"),
            ("nan", "0 or more"),
            ("none.txt", "it should be a number"),
            ("short.txt", "a line `b SIGMA`"),
            ("bad.txt", "bad.txt line 2 should be NAME SIGMA"),
            ("color.png", "color.png should be a gray image"),
        ],
    )
    def test_what_makes_no_sense_is_refused_before_the_network_is_made(self, tmp_path, monkeypatch, sigma, message):
        monkeypatch.chdir(tmp_path)
        for clip in ("a", "b"):
            write_image(tmp_path / "in" / clip / "0.png", np.full((8, 8, 3), 100, np.uint8))
        write_image(tmp_path / "color.png", np.zeros((8, 8, 3), np.uint8))
        (tmp_path / "short.txt").write_text("a 10\n")
        (tmp_path / "bad.txt").write_text("a 10\n10\n")
        cfg = self.configured(tmp_path, sigma=sigma)
        with pytest.raises(InputError, match=message):
            inference(cfg, card_named("RVRT"), lambda: pytest.fail("too early"))

    def configured(self, folder, sigma: str):
        settings = {"model.name": "RVRT", "model.scale": 1, "rvrt.nonblind_denoising": True}
        paths = {"inference.input": str(folder / "in"), "output_dir": str(folder / "out")}
        return load_config(settings=settings | paths | {"inference.sigma": sigma})


def test_a_flow_network_restores_nothing():
    with pytest.raises(InputError, match="it is a flow network"):
        restored_frames(KerasRunner(SpyNet()), frames_of(2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eval.tile_frames": 7}, "eval.tile_frames is 7; it should be even"),
        ({"eval.tile_frames": -2}, "eval.tile_frames is -2"),
        ({"eval.tile_frames": 8, "eval.tile_frames_overlap": 8}, "eval.tile_frames_overlap"),
        ({"data.eval_in_patch": True, "data.eval_in_size": [128, 256]}, "at least 132x132 pixels"),
        (
            {"data.eval_in_patch": True, "data.eval_in_size": [140, 136], "eval.blending": "official"},
            "multiples of 8",
        ),
    ],
)
def test_tiles_and_chunks_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        cfg = load_config(settings={"model.name": "RVRT", "model.scale": 1} | settings)
        read_settings(cfg, card_named("RVRT"))
