"""Cost volumes, by their definition written out."""

import numpy as np
import pytest

from ascendcv.ops.correlation import correlation, row_by_row, spatial_correlation


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def written_out(first, second, *, kernel_size, patch_size, stride, padding, dilation_patch) -> np.ndarray:
    """The spatial correlation sampler, one number after the other; settings are (y, x)."""
    batch, height, width, channels = first.shape
    size = [
        (length + 2 * edge - window) // step + 1
        for length, edge, window, step in zip((height, width), padding, kernel_size, stride, strict=True)
    ]

    def pixel(image, n, y, x):
        return image[n, y, x] if 0 <= y < height and 0 <= x < width else np.zeros(channels)

    volume = np.zeros((batch, *size, *patch_size))
    for n, y, x, i, j in np.ndindex(volume.shape):
        for u, v in np.ndindex(*kernel_size):
            p, q = y * stride[0] - padding[0] + u, x * stride[1] - padding[1] + v
            down = (i - (patch_size[0] - 1) // 2) * dilation_patch[0]
            aside = (j - (patch_size[1] - 1) // 2) * dilation_patch[1]
            volume[n, y, x, i, j] += pixel(first, n, p, q) @ pixel(second, n, p + down, q + aside)
    return volume.reshape(batch, *size, -1)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patch_size": (3, 9)},
        {"patch_size": (9, 3), "dilation_patch": (1, 2)},
        {"patch_size": (4, 5)},
        {"patch_size": (3, 5), "kernel_size": (3, 1), "padding": (1, 0)},
        {"patch_size": (1, 3), "kernel_size": (2, 3), "stride": (2, 1), "padding": (0, 1)},
    ],
    ids=str,
)
@pytest.mark.parametrize("impl", ["tf", "fused"])
def test_the_sampler(impl, changes):
    settings = {"kernel_size": 1, "patch_size": 5, "stride": 1, "padding": 0, "dilation_patch": 1}
    settings = {name: (value, value) for name, value in settings.items()} | changes
    first, second = random(2, 6, 7, 3), random(2, 6, 7, 3, seed=1)
    volume = spatial_correlation(first.astype(np.float32), second.astype(np.float32), **settings, impl=impl)
    np.testing.assert_allclose(volume, written_out(first, second, **settings), atol=1e-5)


@pytest.mark.parametrize("patch_size", [(5, 5), (3, 9), (4, 1), (1, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 3)])
@pytest.mark.parametrize("size", [(6, 7), (1, 1), (2, 1)])
def test_rows_of_displacements_at_once(patch_size, dilation, size):
    """The form that JAX takes."""
    first, second = random(2, *size, 3), random(2, *size, 3, seed=1)
    edges = [
        ((length - 1) // 2 * step, length // 2 * step) for length, step in zip(patch_size, dilation, strict=True)
    ]
    volume = row_by_row(first, np.pad(second, ((0, 0), *edges, (0, 0))), patch_size, dilation)
    options = {"kernel_size": (1, 1), "stride": (1, 1), "padding": (0, 0)}
    expected = written_out(first, second, patch_size=patch_size, dilation_patch=dilation, **options)
    np.testing.assert_allclose(volume, expected, atol=1e-12)


def test_one_number_stands_for_both_axes():
    images = [random(1, 5, 6, 2, seed=seed).astype(np.float32) for seed in (0, 1)]
    options = {"kernel_size": 3, "patch_size": 5, "stride": 2, "padding": 1, "dilation_patch": 2}
    pairs = {name: [value, value] for name, value in options.items()}
    np.testing.assert_array_equal(spatial_correlation(*images, **options), spatial_correlation(*images, **pairs))


def test_the_networks_volume_is_the_mean_over_the_channels():
    first, second = random(1, 6, 7, 4), random(1, 6, 7, 4, seed=1)
    volume = correlation(first.astype(np.float32), second.astype(np.float32), max_displacement=2)
    settings = {"kernel_size": 1, "patch_size": 5, "stride": 1, "padding": 0, "dilation_patch": 1}
    sums = written_out(first, second, **{name: (value, value) for name, value in settings.items()})
    np.testing.assert_allclose(volume, sums / 4, atol=1e-6)
