"""An LMDB becomes the folders of frames that it was made of."""

from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.layouts import read_layout
from scripts import extract_lmdb
from tests.support import PROJECT


@pytest.fixture
def lmdb(tmp_path: Path) -> Path:
    folder = tmp_path / "train_GT.lmdb"
    folder.mkdir()
    vector = np.load(PROJECT / "tests/golden/vectors/common/lmdb_reds.npz")
    (folder / "data.mdb").write_bytes(vector["data_mdb"].tobytes())
    return folder


def test_its_frames_are_a_data_set(lmdb: Path, capsys):
    assert extract_lmdb.main([str(lmdb)]) == 0
    assert "train_GT: 6 frames" in capsys.readouterr().out
    clips = read_layout("davis", lmdb.parent, "train_GT")
    assert [(clip.name, len(clip.gt), clip.gt_size) for clip in clips] == [
        ("000", 3, (18, 24)),
        ("001", 3, (18, 24)),
    ]


def test_a_folder_that_exists_is_left_alone_and_damage_leaves_nothing(lmdb: Path, tmp_path: Path, capsys):
    (tmp_path / "train_GT").mkdir()
    assert extract_lmdb.main([str(lmdb)]) == 2
    assert "train_GT exists: name another folder" in capsys.readouterr().err
    data = (lmdb / "data.mdb").read_bytes()
    (lmdb / "data.mdb").write_bytes(data[:20000])
    assert extract_lmdb.main([str(lmdb), str(tmp_path / "new")]) == 2
    assert "is no whole LMDB file" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train_GT", "train_GT.lmdb"]


def test_a_key_cannot_lead_out_of_the_folder(lmdb: Path, tmp_path: Path, capsys):
    data = (lmdb / "data.mdb").read_bytes()
    (lmdb / "data.mdb").write_bytes(data.replace(b"001/00000002", b"../../000002"))
    assert extract_lmdb.main([str(lmdb), str(tmp_path / "new")]) == 2
    assert "has a key that is no place in a folder: ../../000002" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
