"""Parameters, operations and memory of networks."""

import re

import keras
import pytest

from ascendcv.layers.conv import Conv2D
from ascendcv.layers.conv_transpose import Conv2DTranspose
from ascendvsr.config import load_config
from ascendvsr.deployment.cost import count_macs, count_parameters, report
from ascendvsr.models.builder import build_model
from tests.support import TINY_EDVR


class Plain(keras.Model):
    """Two frames -> one: every rule of the count once."""

    num_frame = 2
    in_channels = 3

    def __init__(self):
        super().__init__()
        self.down = [Conv2D(8, 3, stride=2, groups=3 // 3), keras.layers.LeakyReLU(0.1)]
        self.up = Conv2DTranspose(3, 4, 2, 1, use_bias=False)
        self(keras.Input((2, None, None, 3)))

    def call(self, clip):
        x = keras.ops.relu(clip[:, 0] + clip[:, 1])  # an operation that is no layer
        for layer in self.down:
            x = layer(x)
        return self.up(x)


def test_operations_are_counted_by_the_rule():
    network = Plain()
    macs, further = count_macs(load_config(), network, 10, 12)
    down = 5 * 6 * 8 * (9 * 3 + 1) + 5 * 6 * 8
    assert macs == {"down": down, "up": 10 * 12 * 3 * 16 * 8}
    assert further is None
    assert count_parameters(network) == {"down": 8 * 28, "up": 3 * 16 * 8}


def test_counting_leaves_the_network_as_it_was():
    network = Plain()
    before = count_macs(load_config(), network, 8, 8)
    assert "call" not in vars(network.up)
    assert count_macs(load_config(), network, 8, 8) == before


def test_operations_grow_with_the_number_of_pixels_and_parameters_do_not(tiny_edvr):
    small, large = (
        count_macs(load_config(settings=TINY_EDVR), tiny_edvr, *size)[0] for size in ((32, 48), (64, 96))
    )
    assert {part: 4 * count for part, count in small.items()} == large
    learned = sum(variable.numpy().size for variable in tiny_edvr.trainable_variables)
    assert sum(count_parameters(tiny_edvr).values()) == learned


def test_the_report_sums_up(tiny_edvr):
    text = report(tiny_edvr, load_config(settings=TINY_EDVR), 32, 48)
    rows = re.findall(r"^(\w+) +([\d,]+) +([\d,]+)$", text, re.MULTILINE)
    numbers = {name: [int(number.replace(",", "")) for number in found] for name, *found in rows}
    total = numbers.pop("total")
    assert text.startswith("EDVR: one call on 5 frames of 32x48\n")
    assert len(numbers) > 5
    assert total == [sum(column) for column in zip(*numbers.values(), strict=True)]


@pytest.mark.parametrize("name", ["PVDNet", "BIMNet", "DBN"])
def test_every_kind_of_network_has_its_costs(name: str):
    """A recurrent one, a flow network, one with batch normalization."""
    small = {"pvdnet.num_blocks": 1, "pvdnet.channels": 8, "deblur_devil.num_feat": 4}
    config = load_config(settings={"model.name": name, "model.scale": 1, "model.num_frames": 5} | small)
    text = report(build_model(config), config, 64, 64)
    assert text.startswith(f"{name}: one call on")
    assert ("further frame" in text) == (name == "PVDNet")


@pytest.mark.slow
def test_the_command_prints_the_costs_with_the_memory_of_a_call_and_keeps_them(ascendvsr, tmp_path):
    words = [str(word) for pair in TINY_EDVR.items() for word in pair]
    done = ascendvsr("cost", "--size", 32, 48, "--memory", "device", "cpu", *words)
    assert done.returncode == 0, done.stderr
    peak, before = re.search(r"one call: ([\d,]+) MiB, of which ([\d,]+) MiB before", done.stdout).groups()
    assert int(peak.replace(",", "")) >= int(before.replace(",", "")) > 100
    assert (tmp_path / "outputs/cost.txt").read_text() == done.stdout


def test_a_size_that_is_none_is_refused(ascendvsr):
    done = ascendvsr("cost", "--size", 0, 48)
    assert done.returncode == 2
    assert "--size should be height and width in pixels" in done.stderr
