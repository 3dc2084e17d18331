"""Lists of frame pairs with flow, and reading of flow."""

import numpy as np
import pytest

from ascendcv.dataloader.flow_data import common_size, flying_chairs, read_flow, sintel
from ascendcv.dataloader.image import write_image
from ascendcv.utils.errors import InputError
from ascendcv.utils.flow_io import write_flo
from tests.ascendcv.dataloader.flow_sets import HEIGHT, WIDTH, make_flying_chairs, make_sintel


@pytest.fixture
def chairs(tmp_path, photograph):
    return make_flying_chairs(tmp_path / "chairs/data", photograph)


def test_flying_chairs_are_pairs_in_order(chairs):
    pairs = flying_chairs(chairs)
    assert [pair.first.name for pair in pairs] == ["00001_img1.ppm", "00002_img1.ppm", "00003_img1.ppm"]
    assert [pair.second.name for pair in pairs] == ["00001_img2.ppm", "00002_img2.ppm", "00003_img2.ppm"]
    assert common_size(pairs) == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(read_flow(pairs[2].flow)[0, 0], [3, -2])


def test_the_published_split_divides_them(chairs):
    split = chairs.parent / "split.txt"
    assert [pair.flow.name[:5] for pair in flying_chairs(chairs, split)] == ["00001", "00003"]
    assert [pair.flow.name[:5] for pair in flying_chairs(chairs, split, "validation")] == ["00002"]


def test_sintel_is_pairs_of_neighbors_in_each_scene(tmp_path, photograph):
    pairs = sintel(make_sintel(tmp_path, photograph))
    found = [(pair.first.parent.name, pair.first.stem, pair.second.stem, pair.flow.stem) for pair in pairs]
    assert found == [
        ("alley_1", "frame_0001", "frame_0002", "frame_0001"),
        ("alley_1", "frame_0002", "frame_0003", "frame_0002"),
        ("bamboo_2", "frame_0001", "frame_0002", "frame_0001"),
    ]


def test_flow_in_png_is_64ths_of_a_pixel_and_may_be_unknown(tmp_path):
    pixels = np.zeros((2, 3, 3), np.uint16)
    pixels[0, 0] = 2**15 + 64 * 3, 2**15 - 32, 1
    write_image(tmp_path / "flow.png", pixels)
    flow = read_flow(tmp_path / "flow.png")
    np.testing.assert_array_equal(flow[0, 0], [3, -0.5])
    assert np.isnan(flow).sum() == 2 * 5
    write_image(tmp_path / "picture.png", np.zeros((2, 3, 3), np.uint8))
    with pytest.raises(InputError, match=r"picture\.png has 8 bits and 3 channels"):
        read_flow(tmp_path / "picture.png")
    with pytest.raises(InputError, match=r"flow\.pfm should be optical flow"):
        read_flow(tmp_path / "flow.pfm")


def test_sets_that_are_not_whole_are_refused(tmp_path, photograph, chairs):
    (chairs.parent / "short.txt").write_text("1\n2\n")
    with pytest.raises(InputError, match=r"short\.txt should have a line with 1 or 2 for each of the 3 pairs"):
        flying_chairs(chairs, chairs.parent / "short.txt")
    with pytest.raises(InputError, match=r"cannot read the split .*none\.txt"):
        flying_chairs(chairs, chairs.parent / "none.txt")
    write_flo(chairs / "00002_flow.flo", np.zeros((3, 4, 2)))
    with pytest.raises(InputError, match=r"00002_flow\.flo has 4x3 pixels, but .*00001_img1\.ppm has 56x40"):
        common_size(flying_chairs(chairs))
    (chairs / "00003_img2.ppm").unlink()
    with pytest.raises(InputError, match=r"there is no .*00003_img2\.ppm, which 00003_img1\.ppm is paired with"):
        flying_chairs(chairs)
    with pytest.raises(InputError, match="holds no pairs of FlyingChairs"):
        flying_chairs(tmp_path)
    with pytest.raises(InputError, match="there is no folder"):
        flying_chairs(tmp_path / "none")

    scenes = make_sintel(tmp_path / "sintel", photograph)
    (scenes / "training/clean/alley_1/frame_0002.png").unlink()
    with pytest.raises(InputError, match=r"between .*frame_0001\.png and frame_0003\.png frames are missing"):
        sintel(scenes)
    with pytest.raises(InputError, match="training/final of MPI Sintel"):
        sintel(scenes, "final")
