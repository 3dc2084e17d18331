"""Another network is one folder and one line: it trains, evaluates, restores and freezes by the real commands."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT

CARD = """
from ascendcv.utils.setting import integer
from ascendvsr.models.card import Architecture, Card


def detect(shapes):
    if "sharpening.weight" not in shapes:
        return []
    channels = shapes["widening.weight"][0]
    settings = {"model.name": "Sharpener", "model.scale": 4, "model.num_frames": 3, "sharpener.channels": channels}
    return [Architecture("Sharpener", settings, f"{channels} channels")]


CARDS = (
    Card(
        name="Sharpener",
        title="Sharpener",
        kind="window",
        network="ascendvsr.models.sharpener.network:Sharpener",
        arguments=lambda cfg: {"num_frame": cfg.model.num_frames, "channels": cfg.sharpener.channels},
        detect=detect,
        settings={"sharpener": {"channels": integer(8, "channels of the features", low=1)}},
        training="ascendvsr.models.sharpener.training:SharpenerTraining",
        scale=lambda cfg: 4,
    ),
)
"""

NETWORK = '''
import keras
from keras import ops

from ascendcv.layers.conv import Conv2D
from ascendcv.ops.resize import resize


@keras.saving.register_keras_serializable("ascendvsr")
class Sharpener(keras.Model):
    """Adds details to the enlarged middle frame."""

    scale, in_channels = 4, 3

    def __init__(self, num_frame=3, channels=8, **kwargs):
        super().__init__(**kwargs)
        self.num_frame, self.center_frame_idx = num_frame, num_frame // 2
        self.widening = Conv2D(channels)
        self.sharpening = Conv2D(3)
        self(keras.Input((num_frame, None, None, 3)))

    def call(self, clip, training=False):
        center = clip[:, self.center_frame_idx]
        _, height, width, _ = ops.shape(center)
        enlarged = resize(center, (4 * height, 4 * width))
        return enlarged + self.sharpening(ops.relu(self.widening(enlarged)))
'''

TRAINING = """
from ascendcv.losses.l1 import l1
from ascendcv.runner.updates import Updates
from ascendvsr.models.training import Training


class SharpenerUpdates(Updates):
    def loss(self, model, batch, index, state):
        return l1(model(batch["lq"], training=True), batch["gt"]), {}, state


class SharpenerTraining(Training):
    def updates(self):
        return SharpenerUpdates()
"""

CONFIG = """
model: {name: Sharpener, scale: 4, num_frames: 3}
sharpener: {channels: 4}
data: {train_batch_size: 2, train_in_size: [16, 16], train_data_queue_size: 2, eval_in_size: [-1, -1]}
solver:
  lr_schedule: {type: Cosine, total_steps: [4]}
  print_interval: 2
  sample_interval: 2
  validation_interval: 4
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one folder more, and one line."""
    house = tmp_path_factory.mktemp("house")
    shutil.copytree(PROJECT / "ascendvsr", house / "ascendvsr", ignore=shutil.ignore_patterns("__pycache__"))
    folder = house / "ascendvsr/models/sharpener"
    folder.mkdir()
    for name, text in {"__init__": "", "card": CARD, "network": NETWORK, "training": TRAINING}.items():
        (folder / f"{name}.py").write_text(text)
    cards = house / "ascendvsr/models/__init__.py"
    line = '        "edvr",\n'
    assert cards.read_text().count(line) == 1
    cards.write_text(cards.read_text().replace(line, line + '        "sharpener",\n'))
    (house / "sharpener.yaml").write_text(CONFIG)
    return house


def run(house: Path, *arguments: object) -> str:
    """What a command prints; it fails where the command does."""
    environment = os.environ | {"PYTHONPATH": f"{house}{os.pathsep}{PROJECT}"}
    command = [sys.executable, "-m", "ascendvsr", *map(str, arguments), "output_dir", "run"]
    result = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def test_a_network_needs_a_folder_and_a_line_and_nothing_else(house, sample, frame_folder):
    said = run(house, "train", "--config", "sharpener.yaml", "data.data_dir", sample)
    assert "Training Sharpener" in said
    assert "val/psnr" in (house / "run/log/log.csv").read_text()
    assert len(list((house / "run/sample").glob("*.png"))) == 2

    run(house, "eval", "--checkpoint", "run", "data.data_dir", sample)
    metrics = json.loads((house / "run/result/metrics.json").read_text())
    assert metrics["network"] == "Sharpener"
    assert metrics["total"]["psnr"] > 15

    run(house, "inference", "--checkpoint", "run", "--input", frame_folder(count=3), "--output", "restored")
    assert len(list((house / "restored").iterdir())) == 3

    assert "differs from the Keras model" in run(house, "freeze", "--checkpoint", "run")
    assert (house / "run/Sharpener.pb").exists()
    assert "Sharpener: one call" in run(house, "cost", "--config", "sharpener.yaml")


def test_its_settings_are_checked_as_all_others(house, sample):
    environment = os.environ | {"PYTHONPATH": f"{house}{os.pathsep}{PROJECT}"}
    command = [sys.executable, "-m", "ascendvsr", "train", "--config", "sharpener.yaml", "sharpener.channels", "0"]
    result = subprocess.run(command, cwd=house, env=environment, capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "sharpener.channels" in result.stderr
