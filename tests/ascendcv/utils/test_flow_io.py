"""Files of optical flow."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ascendcv.utils.errors import InputError
from ascendcv.utils.flow_io import flo_size, read_flo, write_flo


@pytest.fixture
def flow() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((4, 6, 2)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path, flow: np.ndarray) -> Path:
    write_flo(tmp_path / "a.flo", flow)
    return tmp_path / "a.flo"


def test_what_was_written_is_read(file, flow):
    np.testing.assert_array_equal(read_flo(file), flow)
    assert flo_size(file) == (4, 6)


def test_the_format_is_middlebury_s(file, flow):
    data = file.read_bytes()
    assert data[:4] == b"PIEH"
    assert struct.unpack("<ii", data[4:12]) == (6, 4)
    assert struct.unpack("<ff", data[12 + 8 * 7 : 12 + 8 * 8]) == tuple(flow[1, 1])


@given(keep=st.integers(0, 12 + 4 * 6 * 8 - 1))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_cut_short_is_refused_by_name(file, keep):
    whole = file.read_bytes()
    short = file.with_name("short.flo")
    short.write_bytes(whole[:keep])
    with pytest.raises(InputError, match=r"short\.flo is cut short"):
        read_flo(short)


def test_files_of_other_kinds_are_refused_by_name(tmp_path, file):
    (tmp_path / "big.flo").write_bytes(b"HEIP" + file.read_bytes()[4:])
    with pytest.raises(InputError, match=r"big\.flo is no \.flo file"):
        read_flo(tmp_path / "big.flo")
    (tmp_path / "long.flo").write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"long\.flo is damaged"):
        read_flo(tmp_path / "long.flo")
    (tmp_path / "negative.flo").write_bytes(struct.pack("<fii", 202021.25, -6, -4) + b"\0" * 192)
    with pytest.raises(InputError, match=r"negative\.flo is .*damaged"):
        read_flo(tmp_path / "negative.flo")
    with pytest.raises(InputError, match=r"cannot read the flow .*none\.flo"):
        read_flo(tmp_path / "none.flo")


def test_it_is_written_under_its_own_ending_only(tmp_path, flow):
    with pytest.raises(InputError, match=r"\.flo, not to .*a\.png"):
        write_flo(tmp_path / "a.png", flow)
    assert not list(tmp_path.iterdir())
