"""The authors' own RVRT in PyTorch, run from their source, with its CUDA operation composed of PyTorch's.

Their project compiles that operation with nvcc when it is imported; here it is put together from `grid_sample`. The
parts of other packages that it uses are stood in for: two functions of einops, and torchvision, of which it uses
nothing. The source itself is not part of this project: a clone of github.com/JingyunLiang/RVRT, or a bare one.
"""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import torch
import torch.nn.functional as F


def official_rvrt(repository: str, config: dict) -> torch.nn.Module:
    """The network of the authors' source in `repository`, ready to restore."""
    sys.modules.setdefault("einops", _einops())
    sys.modules.setdefault("einops.layers", ModuleType("einops.layers"))
    sys.modules.setdefault("einops.layers.torch", _einops())
    sys.modules.setdefault("torchvision", ModuleType("torchvision"))
    import torch.utils.cpp_extension

    torch.utils.cpp_extension.load = lambda *_, **__: SimpleNamespace(deform_attn_forward=_deform_attn_forward)
    for name in ("official", "official.op"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = []
    run_source(repository, "models/op/deform_attn.py", "official.op.deform_attn")
    network = run_source(repository, "models/network_rvrt.py", "official.network_rvrt")
    torch.manual_seed(0)
    return network.RVRT(**config).eval()


def run_source(repository: str, path: str, name: str) -> ModuleType:
    """The module that a file of a repository makes, under the name by which others import it."""
    file = Path(repository) / path
    if file.exists():
        source = file.read_text()
    else:
        command = ["git", "--git-dir", repository, "show", f"HEAD:{path}"]
        source = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    module = ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    module.__file__ = str(file)
    sys.modules[name] = module
    exec(compile(source, str(file), "exec"), vars(module))
    return module


def _deform_attn_forward(q, kv, offset, output, *arguments):
    """Writes the attention into `output` [B*T, 1, C, H, W], as the authors' kernel does."""
    rows, columns, heads, groups, clip = (arguments[index] for index in (3, 4, 11, 12, 13))
    frames, _, channels, height, width = q.shape
    taps, depth = rows * columns, channels // heads
    offset = offset.view(frames, clip, groups, taps, 2, height, width)
    tap = torch.arange(taps)
    y = torch.arange(height).view(-1, 1) + (tap // columns - rows // 2).view(-1, 1, 1)
    x = torch.arange(width) + (tap % columns - columns // 2).view(-1, 1, 1)
    samples = []
    for slot in range(clip):
        source = kv.roll(-slot, 1).reshape(frames * groups, -1, height, width)
        places = offset[:, slot]
        grid = torch.stack(
            [
                (x + places[:, :, :, 1]) * (2 / max(width - 1, 1)) - 1,
                (y + places[:, :, :, 0]) * (2 / max(height - 1, 1)) - 1,
            ],
            dim=-1,
        ).view(frames * groups, taps * height, width, 2)
        sampled = F.grid_sample(source, grid, align_corners=True)
        samples.append(sampled.view(frames, 2, heads, depth, taps, height * width))
    keys, values = torch.cat(samples, dim=4).unbind(1)
    q = q.view(frames, heads, depth, height * width) * depth**-0.5
    weights = (q[:, :, :, None] * keys).sum(2).softmax(2)
    output.copy_((weights[:, :, None] * values).sum(3).reshape(output.shape))


def _einops() -> ModuleType:
    """`rearrange` and `Rearrange` for patterns that only change the order of axes."""

    def rearrange(x, pattern):
        before, after = (side.split() for side in pattern.split("->"))
        return x.permute([before.index(axis) for axis in after])

    class Rearrange(torch.nn.Module):
        def __init__(self, pattern):
            super().__init__()
            self.pattern = pattern

        def forward(self, x):
            return rearrange(x, self.pattern)

    module = ModuleType("einops")
    module.rearrange, module.Rearrange = rearrange, Rearrange
    return module
