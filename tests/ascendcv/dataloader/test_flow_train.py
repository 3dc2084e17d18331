"""Training input of flow networks: which pairs, in which order, changed how."""

import itertools

import numpy as np
import pytest

from ascendcv.dataloader.flow_data import flying_chairs
from ascendcv.dataloader.flow_train import flow_dataset
from ascendcv.utils.errors import InputError
from tests.ascendcv.dataloader.flow_sets import HEIGHT, WIDTH, make_flying_chairs, view


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, photograph):
    return flying_chairs(make_flying_chairs(tmp_path_factory.mktemp("flow") / "data", photograph, count=4))


def batches(pairs, count: int, **options) -> list[dict[str, np.ndarray]]:
    settings = {"batch_size": 2, "seed": 1, "affine": False, "colors": False} | options
    return list(itertools.islice(flow_dataset(pairs, (HEIGHT, WIDTH), **settings).as_numpy_iterator(), count))


def test_a_batch_holds_pairs_and_their_flow(pairs, photograph):
    (batch,) = batches(pairs[:1], 1, batch_size=1)
    assert batch["lq"].shape == (1, 2, HEIGHT, WIDTH, 3)
    assert batch["lq"].dtype == batch["flow"].dtype == np.float32
    np.testing.assert_array_equal(batch["lq"][0, 0], view(photograph, 200, 60) / np.float32(255))
    np.testing.assert_array_equal(batch["flow"], np.full((1, HEIGHT, WIDTH, 2), (1, 0)))


def test_each_epoch_has_every_pair_once_in_an_order_of_its_own(pairs):
    epochs = [
        [x for batch in batches(pairs, 2, start_step=2 * epoch) for x in batch["flow"][:, 0, 0, 0]]
        for epoch in range(6)
    ]
    assert all(sorted(epoch) == [1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_run_that_goes_on_and_workers_get_what_one_run_gets(pairs):
    whole = batches(pairs, 3, affine=True)
    later = batches(pairs, 1, affine=True, start_step=2)
    parts = [batches(pairs, 1, affine=True, start_step=2, shard=(n, 2)) for n in range(2)]
    for name in ("lq", "flow"):
        np.testing.assert_array_equal(later[0][name], whole[2][name])
        np.testing.assert_array_equal(np.concatenate([part[0][name] for part in parts]), whole[2][name])


def test_colors_change_alike_in_both_frames_and_leave_the_flow_alone(pairs):
    (plain,), (colored,) = batches(pairs, 1), batches(pairs, 1, colors=True)
    np.testing.assert_array_equal(plain["flow"], colored["flow"])
    assert np.abs(plain["lq"] - colored["lq"]).mean() > 0.02
    assert colored["lq"].min() >= 0
    assert colored["lq"].max() <= 1
    x, y = (int(value) for value in plain["flow"][0, 0, 0])  # what both frames show stays equal
    shown = colored["lq"][0, :, 8:-8, 8:-8]
    moved = colored["lq"][0, 1, 8 + y : HEIGHT - 8 + y, 8 + x : WIDTH - 8 + x]
    np.testing.assert_allclose(moved, shown[0], atol=1e-5)


def test_a_batch_that_workers_cannot_share_is_refused(pairs):
    with pytest.raises(InputError, match="cannot be shared equally by 2 workers"):
        flow_dataset(pairs, (HEIGHT, WIDTH), batch_size=3, seed=1, shard=(0, 2))
