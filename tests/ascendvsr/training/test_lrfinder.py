"""The command `lrfinder` on a small training set."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.training.lrfinder import lrfinder


def test_it_writes_the_curve_suggests_a_rate_and_leaves_checkpoints_alone(settings, capsys):
    """A loss that goes up and down with the crops never diverges at such rates."""
    wanted = settings({"solver.lr_finder.steps": 20, "solver.lr_finder.end_lr": 1e-3, "mode": "lrfinder"})
    output = Path(wanted["output_dir"])
    checkpoint = output / "EDVR-7/meta.json"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("{}")
    lrfinder(load_config(settings=wanted))
    (table,) = (output / "log").glob("lrfinder-*.csv")
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 20
    np.testing.assert_allclose([float(row["lr"]) for row in rows], np.geomspace(1e-7, 1e-3, 20))
    said = capsys.readouterr().out
    assert "The loss ended after 20 steps, at a learning rate of 0.001" in said
    suggested = float(re.search(r"Suggested learning rate: (\S+),", said)[1])
    assert 1e-7 < suggested < 1e-3
    assert np.array(Image.open(output / "plots" / f"{table.stem}.png")).std() > 1
    assert (output / "plots" / f"{table.stem}.pdf").read_bytes().startswith(b"%PDF")
    assert (output / "config" / f"{table.stem}.yaml").exists()
    assert [path.name for path in output.glob("EDVR-*")] == ["EDVR-7"]
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_it_ends_where_the_loss_explodes(settings, capsys):
    changes = {"solver.lr_finder.steps": 200, "solver.lr_finder.start_lr": 1e-2, "solver.lr_finder.end_lr": 1e6}
    lrfinder(load_config(settings=settings(changes | {"solver.lr_finder.smoothing": 1.0})))
    steps = int(re.search(r"The loss diverged after (\d+) steps", capsys.readouterr().out)[1])
    assert steps < 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver.lr_finder.end_lr": 1e-9}, "should rise"),
        ({"data.data_dir": "none"}, "none"),
        ({"solver.lr_finder.steps": 1}, "steps should be at least 2"),
    ],
)
def test_what_cannot_be_tried_is_refused(settings, changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        lrfinder(load_config(settings=settings(changes)))
