"""Commands in parts, and on workers of a cluster, leave what one process leaves."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.image import read_image
from ascendvsr.cli import main


def ascendvsr(*arguments: object, status: int = 0) -> None:
    assert main([str(word) for word in arguments]) == status


def numbers(folder: Path) -> dict:
    """metrics.json without what times differ in."""
    found = json.loads((folder / "metrics.json").read_text())
    for entry in (*found["videos"], found["total"], found["mean_of_videos"]):
        entry.pop("ms_per_frame", None)
    return {key: found[key] for key in ("videos", "total", "mean_of_videos")}


@pytest.fixture
def pairs(frame_folder, tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Three clips as they were, and the same beside themselves by a frame."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        clip = frame_folder(f"truth/{name}", count=4)
        shutil.copytree(clip, tmp_path / "restored" / name)
        first = sorted((tmp_path / "restored" / name).iterdir())[0]
        shutil.copy(sorted(clip.iterdir())[1], first)
    return tmp_path / "restored", tmp_path / "truth"


def test_scores_of_parts_merged_are_those_of_the_whole(pairs, tmp_path):
    ascendvsr("evaluate", *pairs, "--output", "whole")
    for number in (1, 2):
        ascendvsr("evaluate", *pairs, "--output", "parts", "--part", f"{number}/2")
    files = sorted((tmp_path / "parts").glob("part-*-of-2/metrics.json"))
    ascendvsr("evaluate", "--merge", *files, "--output", "merged")
    assert numbers(tmp_path / "merged") == numbers(tmp_path / "whole")
    ascendvsr("evaluate", *pairs, "--part", "4/4", status=2)


@pytest.mark.needs("distributed")
def test_scores_of_a_cluster_are_those_of_one_process(pairs, tmp_path):
    ascendvsr("evaluate", *pairs, "--output", "whole")
    ascendvsr("evaluate", *pairs, "--output", "shared", "--cluster", "local:2")
    assert numbers(tmp_path / "shared") == numbers(tmp_path / "whole")


def files_of(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


DEGRADE = ("--step", "gaussian sigma=5..25", "--step", "jpeg quality=60", "--seed", 3)


def test_parts_of_a_degradation_draw_what_the_whole_draws(pairs, tmp_path):
    ascendvsr("degrade", pairs[1], "whole", *DEGRADE)
    for number in (3, 1, 2):
        assert not (tmp_path / "parts/degraded.json").exists()
        ascendvsr("degrade", pairs[1], "parts", *DEGRADE, "--part", f"{number}/3")
    assert files_of(tmp_path / "parts") == files_of(tmp_path / "whole")


@pytest.mark.needs("distributed")
def test_a_cluster_degrades_as_one_process(pairs, tmp_path):
    ascendvsr("degrade", pairs[1], "whole", *DEGRADE)
    ascendvsr("degrade", pairs[1], "shared", *DEGRADE, "--cluster", "local:2")
    assert files_of(tmp_path / "shared") == files_of(tmp_path / "whole")


def test_the_last_part_makes_a_data_set_ready(pairs, tmp_path, capsys):
    ascendvsr("prepare", "clips", pairs[1], "whole")
    for number in (2, 1):
        capsys.readouterr()
        ascendvsr("prepare", "clips", pairs[1], "parts", "--part", f"{number}/2")
        assert ("ready" in capsys.readouterr().out) == (number == 1)
    whole, parts = files_of(tmp_path / "whole"), files_of(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name in filter(lambda name: name.endswith(".png"), whole):
        one, other = (read_image(tmp_path / folder / name) for folder in ("whole", "parts"))
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.needs("distributed")
def test_an_evaluation_on_a_cluster_is_that_of_one_process(
    ascendvsr_process, reds_set, tmp_path, tiny_edvr_checkpoint
):
    options = ("--checkpoint", tiny_edvr_checkpoint, "data.data_dir", reds_set, "data.eval_set", "val.json")
    options = (*options, "num_threads", 1)
    ascendvsr_process("eval", *options, "output_dir", "whole")
    for number in (1, 2):
        ascendvsr_process("eval", *options, "output_dir", "parts", "--part", f"{number}/2")
    said = ascendvsr_process("eval", *options, "output_dir", "shared", "--cluster", "local:2")
    assert "PSNR = " in said.splitlines()[-1]
    assert numbers(tmp_path / "shared/result") == numbers(tmp_path / "whole/result")
    files = sorted((tmp_path / "parts").rglob("part-*-of-2/metrics.json"))
    ascendvsr_process("evaluate", "--merge", *files, "--output", "merged")
    assert numbers(tmp_path / "merged") == numbers(tmp_path / "whole/result")
