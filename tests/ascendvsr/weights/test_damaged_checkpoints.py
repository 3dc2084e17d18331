"""Thousands of damaged checkpoints: each is read or refused in one line, soon, and in little memory."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support import PROJECT

MOST_GROWTH = 150  # MiB, over what the first file takes


@pytest.mark.parametrize("end", [800, pytest.param(20_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_damage_ends_in_weights_or_one_line(tmp_path, end):
    outcomes, peaks, number = Counter(), [], 0
    while number < end:
        command = [sys.executable, "-m", "tests.ascendvsr.weights.damaged", tmp_path, str(number), str(end)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        lines = [line.split() for line in done.stdout.splitlines()]
        outcomes.update((kind, " ".join(words)) for _, kind, *words, _ in lines)
        peaks += [int(line[-1]) for line in lines]
        number = int(lines[-1][0]) + 1 if lines else number
        if done.returncode:
            kept = Path(tmp_path, f"{number}.bin")
            (tmp_path / "damaged.bin").rename(kept)
            outcomes["process", f"ended by {done.returncode}, {kept}"] += 1
            number += 1
    bad = {key: count for key, count in outcomes.items() if key[1] not in ("read", "refused")}
    assert not bad, bad
    assert sum(outcomes.values()) == end
    assert {kind for kind, outcome in outcomes if outcome == "refused"} == {kind for kind, _ in outcomes}
    assert max(peaks) < peaks[0] + MOST_GROWTH
