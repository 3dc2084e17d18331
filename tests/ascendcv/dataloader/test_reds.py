"""Data sets in REDS layout: what is read, what is written, what is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ascendcv.dataloader.clips import verify_frames
from ascendcv.dataloader.image import write_image
from ascendcv.dataloader.reds import read_set, write_sets
from ascendcv.utils.errors import InputError

MakeSet = Callable[..., Path]


@pytest.fixture
def make_set(tmp_path: Path, photograph: np.ndarray) -> MakeSet:
    """A maker of data sets with ground truth of 32x48 pixels, in either order of folders."""

    def make(names=("000", "001", "269"), prefix: bool = False, frames: int = 3, scale: int = 4) -> Path:
        for name in names:
            for number in range(frames):
                for folder, size in (("blur4", (32 // scale, 48 // scale)), ("truth", (32, 48))):
                    place = Path(folder, name) if prefix else Path(name, folder)
                    frame = photograph[number : number + size[0], : size[1]]
                    write_image(tmp_path / "images" / place / f"{number:08d}.png", frame)
        return tmp_path

    return make


@pytest.mark.parametrize("prefix", [False, True])
def test_what_is_written_is_read_back_with_every_clip(make_set: MakeSet, prefix: bool):
    data = make_set(prefix=prefix)
    assert write_sets(data) == {"train": 2, "val": 1}
    train, val = read_set(data, "train.json"), read_set(data, "val.json")
    assert [clip.name for clip in train] == ["001", "269"]
    assert [clip.name for clip in val] == ["000"]
    assert [path.name for path in val[0].lq] == [path.name for path in val[0].gt]
    assert (val[0].lq_size, val[0].gt_size, val[0].bits) == ((8, 12), (32, 48), 8)
    place = Path("blur4", "000") if prefix else Path("000", "blur4")
    assert val[0].lq[2] == data / "images" / place / "00000002.png"


def test_the_set_files_have_the_release_s_form_and_writing_them_again_changes_nothing(make_set: MakeSet):
    data = make_set(("000",))
    write_sets(data)
    expected = {
        "prefix": False,
        "gt_folder": "truth",
        "x4_folder": "blur4",
        "videos": [{"name": "000", "gt_shape": [32, 48], "x4_shape": [8, 12], "nframes": 3}],
    }
    written = (data / "sets/val.json").read_text()
    assert json.loads(written) == expected
    write_sets(data)
    assert (data / "sets/val.json").read_text() == written


def test_a_set_for_deblurring_has_input_of_the_output_s_size(make_set: MakeSet):
    data = make_set(scale=1)
    write_sets(data, scale=1)
    assert read_set(data, "val.json", scale=1)[0].lq_size == (32, 48)
    with pytest.raises(InputError, match=r"val.json lacks 'x4_folder'"):
        read_set(data, "val.json", scale=4)


def test_without_ground_truth_there_are_frames_to_restore(make_set: MakeSet):
    data = make_set(("000",))
    write_sets(data)
    (data / "images/000/truth").rename(data / "elsewhere")
    clip = read_set(data, "val.json")[0]
    assert (len(clip.lq), clip.gt, clip.gt_size) == (3, [], (32, 48))
    with pytest.raises(InputError, match="images/000/truth is missing"):
        write_sets(data)


def test_16_bit_frames_are_noticed(make_set: MakeSet):
    data = make_set(("000",))
    write_image(data / "images/000/truth/00000001.png", np.zeros((32, 48, 3), np.uint16))
    write_sets(data)
    assert read_set(data, "val.json")[0].bits == 16


def test_missing_and_malformed_set_files_are_named(make_set: MakeSet, tmp_path: Path):
    with pytest.raises(InputError, match=r"no data set in .*absent"):
        read_set(tmp_path / "absent", "train.json")
    data = make_set(("000",))
    with pytest.raises(InputError, match=r"no set file .*sets/train\.json; python scripts/make_reds_dataset\.py"):
        read_set(data, "train.json")
    write_sets(data)
    with pytest.raises(InputError, match=r"train.json names no clips"):
        read_set(data, "train.json")
    for content in ("{", "[]", "{}", '{"x4_folder": "blur4", "prefix": false, "videos": [3]}', "\udcff"):
        (data / "sets/val.json").write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(InputError, match=r"val.json"):
            read_set(data, "val.json")


def test_a_set_file_that_tells_another_story_than_the_frames_is_refused(make_set: MakeSet):
    data = make_set(("000",))
    write_sets(data)
    (data / "images/000/blur4/00000002.png").unlink()
    (data / "images/000/truth/00000002.png").unlink()
    with pytest.raises(InputError, match=r"val.json says nframes 3 of clip 000, but its frames say 2"):
        read_set(data, "val.json")


def test_frames_that_do_not_fit_together_are_refused_and_nothing_is_overwritten(make_set: MakeSet):
    data = make_set()
    write_sets(data)
    before = (data / "sets/train.json").read_text()
    extra = data / "images/269/blur4/00000003.png"
    write_image(extra, np.zeros((8, 12, 3), np.uint8))
    with pytest.raises(InputError, match=r"269/truth has 3 frames, but .*269/blur4 has 4"):
        write_sets(data)
    extra.unlink()
    for path in (data / "images/269/truth").iterdir():
        write_image(path, np.zeros((30, 48, 3), np.uint8))
    with pytest.raises(InputError, match=r"269/truth has frames of 48x30 pixels; 4 times .* would be 48x32"):
        write_sets(data)
    assert (data / "sets/train.json").read_text() == before


def test_a_folder_that_is_no_data_set_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="has no folder images"):
        write_sets(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="has no clips"):
        write_sets(tmp_path)


def test_a_truncated_frame_is_found_from_its_end_and_a_damaged_one_by_decoding(make_set: MakeSet):
    data = make_set()
    write_sets(data)
    path = data / "images/269/blur4/00000001.png"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(InputError, match=r"269/blur4/00000001.png is cut short"):
        read_set(data, "train.json")
    path.write_bytes(whole[:60] + bytes(60) + whole[120:])
    clips = read_set(data, "train.json")
    with pytest.raises(InputError, match=r"269/blur4/00000001.png is no readable image"):
        verify_frames(clips)
