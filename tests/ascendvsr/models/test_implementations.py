"""An accelerator's own operation is asked for where there is none."""

import sys

import pytest

from ascendcv.ops.registry import VENDOR_OPERATIONS
from ascendcv.utils.errors import InputError
from ascendvsr import cli
from ascendvsr.config import load_config
from ascendvsr.models import CARDS, card_named
from ascendvsr.models.implementations import VENDOR_PACKAGES, check_implementation

WITH_IMPL = [(card.name, section) for card in CARDS for section, tree in card.settings.items() if "impl" in tree]


@pytest.mark.parametrize(("name", "section"), WITH_IMPL)
def test_it_is_refused_where_nothing_provides_it(name: str, section: str):
    cfg = load_config(settings={"model.name": name, f"{section}.impl": "npu"})
    with pytest.raises(
        InputError, match=rf"{section}.impl npu is an accelerator's own operation, and there is none"
    ):
        check_implementation(cfg, card_named(name))
    check_implementation(load_config(settings={"model.name": name}), card_named(name))


def test_it_is_refused_on_another_device():
    cfg = load_config(settings={"edvr.impl": "npu", "device": "cpu"})
    with pytest.raises(InputError, match="and device is cpu"):
        check_implementation(cfg, card_named("EDVR"))


@pytest.mark.parametrize("command", ["train", "eval", "inference", "freeze"])
def test_commands_refuse_it_before_anything_is_built(command, tiny_edvr_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("ascendvsr.models.builder.build_model", lambda cfg: pytest.fail("too late"))
    weights = [] if command == "train" else ["--checkpoint", str(tiny_edvr_checkpoint)]
    assert cli.main([command, *weights, "edvr.impl", "NPU", "output_dir", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ascendvsr: edvr.impl npu is an accelerator's own operation")
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_vendors_are_those_of_the_registry():
    packages = {operation: module.partition(".")[0] for operation, (module, _) in VENDOR_OPERATIONS.items()}
    assert packages == VENDOR_PACKAGES


def test_a_vendor_s_package_is_enough(monkeypatch, tmp_path):
    (tmp_path / "npu_bridge").mkdir()
    (tmp_path / "npu_bridge/__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "npu_bridge", raising=False)
    check_implementation(load_config(settings={"edvr.impl": "npu"}), card_named("EDVR"))
