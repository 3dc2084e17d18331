"""Weights that are saved here, in the programs that they came from: python -m benchmarks.other_programs \
[--basicsr REPOSITORY] [--rvrt REPOSITORY]

Each repository is a clone of github.com/XPixelGroup/BasicSR or github.com/JingyunLiang/RVRT, or a bare one; PyTorch
is needed. A network with random weights is written by `save_weights`, its file is read by
`torch.load(weights_only=True)` into the official network, all names and no others, and both restore the same clip.
KERAS_BACKEND=torch leaves out TensorFlow, which does not bear every PyTorch in its process.
"""

import argparse
import functools
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.basicsr_official import official_edvr
from benchmarks.rvrt_official import official_rvrt

EDVR_SETTINGS = {
    "edvr.mid_channels": 16,
    "edvr.num_deform_groups": 2,
    "edvr.num_blocks_extraction": 2,
    "edvr.num_blocks_reconstruction": 3,
}
RVRT_SETTINGS = {
    "model.name": "RVRT",
    "model.num_frames": 4,
    "rvrt.num_blocks": [1, 1, 1],
    "rvrt.embed_dims": [12, 12, 12],
    "rvrt.num_heads": [2, 2, 2],
    "rvrt.deformable_groups": 2,
    "rvrt.attention_heads": 2,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--basicsr", metavar="REPOSITORY", help="compare EDVR")
    parser.add_argument("--rvrt", metavar="REPOSITORY", help="compare RVRT")
    arguments = parser.parse_args()
    if arguments.basicsr:
        edvr = functools.partial(official_edvr, arguments.basicsr, **basicsr_arguments())
        compare("EDVR in BasicSR", EDVR_SETTINGS, edvr, (1, 5, 32, 48, 3))
    if arguments.rvrt:
        compare("RVRT", RVRT_SETTINGS, lambda: official_rvrt(arguments.rvrt, rvrt_arguments()), (1, 4, 64, 64, 3))


def compare(name: str, settings: dict, official, shape: tuple[int, ...]) -> None:
    """Prints the largest difference between both networks' restored frames, of values in [0, 1]."""
    import keras

    from ascendvsr.config import load_config
    from ascendvsr.models.builder import build_model
    from ascendvsr.weights import save_weights

    keras.utils.set_random_seed(0)
    model = build_model(load_config(settings=settings))
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(variable + 0.02 * random.standard_normal(variable.shape))
    clip = random.uniform(0, 1, shape).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.pth")
        save_weights(model, path)
        loaded = torch.load(path, weights_only=True)["params"]
    network = official()
    network.load_state_dict(loaded, strict=True)
    with torch.no_grad():
        theirs = network.eval()(torch.from_numpy(clip).permute(0, 1, 4, 2, 3)).movedim(-3, -1).numpy()
    ours = keras.ops.convert_to_numpy(model(clip, training=False))
    print(
        f"{name}: {len(loaded)} tensors, output {ours.shape}, largest difference "
        f"{np.abs(ours - theirs).max():.1e} of values up to {np.abs(ours).max():.2f}"
    )


def basicsr_arguments() -> dict[str, int]:
    """The official constructor's arguments for `EDVR_SETTINGS`."""
    return {
        "num_feat": EDVR_SETTINGS["edvr.mid_channels"],
        "deformable_groups": EDVR_SETTINGS["edvr.num_deform_groups"],
        "num_extract_block": EDVR_SETTINGS["edvr.num_blocks_extraction"],
        "num_reconstruct_block": EDVR_SETTINGS["edvr.num_blocks_reconstruction"],
    }


def rvrt_arguments() -> dict[str, object]:
    """The official constructor's arguments for `RVRT_SETTINGS`."""
    return {
        "upscale": 4,
        "clip_size": 2,
        "img_size": [2, 64, 64],
        "window_size": [2, 8, 8],
        "num_blocks": RVRT_SETTINGS["rvrt.num_blocks"],
        "depths": [2, 2, 2],
        "embed_dims": RVRT_SETTINGS["rvrt.embed_dims"],
        "num_heads": RVRT_SETTINGS["rvrt.num_heads"],
        "inputconv_groups": [1, 1, 1, 1, 1, 1],
        "deformable_groups": RVRT_SETTINGS["rvrt.deformable_groups"],
        "attention_heads": RVRT_SETTINGS["rvrt.attention_heads"],
        "attention_window": [3, 3],
        "cpu_cache_length": 100,
    }


if __name__ == "__main__":
    main()
