"""BasicSR's own EDVR and BasicVSR in PyTorch, run from their source.

torchvision's deformable convolution is composed of PyTorch's operations, so that torchvision is not needed. The
source itself is not part of this project: a clone of github.com/XPixelGroup/BasicSR, or a bare one.
"""

import logging
import sys
from types import ModuleType, SimpleNamespace

import torch
import torch.nn.functional as F

from benchmarks.rvrt_official import run_source


def official_edvr(repository: str, **config: object) -> torch.nn.Module:
    """The network of BasicSR's source, ready to restore."""
    _prepare(repository)
    return run_source(repository, "basicsr/archs/edvr_arch.py", "basicsr.archs.edvr_arch").EDVR(**config).eval()


def official_basicvsr(repository: str, **config: object) -> torch.nn.Module:
    """The network of BasicSR's source, ready to restore."""
    _prepare(repository)
    for name in ("edvr_arch", "spynet_arch"):
        run_source(repository, f"basicsr/archs/{name}.py", f"basicsr.archs.{name}")
    network = run_source(repository, "basicsr/archs/basicvsr_arch.py", "basicsr.archs.basicvsr_arch")
    return network.BasicVSR(**config).eval()


def _prepare(repository: str) -> None:
    """The modules that the networks' sources import."""
    for name in ("basicsr", "basicsr.utils", "basicsr.ops", "basicsr.archs", "basicsr.ops.dcn"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = []
    vision = sys.modules["torchvision"] = ModuleType("torchvision")
    vision.__version__, vision.ops = "0.9.0", SimpleNamespace(deform_conv2d=_deform_conv2d)
    sys.modules["basicsr.utils"].get_root_logger = logging.getLogger
    run_source(repository, "basicsr/utils/registry.py", "basicsr.utils.registry")
    operation = run_source(repository, "basicsr/ops/dcn/deform_conv.py", "basicsr.ops.dcn.deform_conv")
    for name in ("ModulatedDeformConvPack", "modulated_deform_conv"):
        setattr(sys.modules["basicsr.ops.dcn"], name, getattr(operation, name))
    run_source(repository, "basicsr/archs/arch_util.py", "basicsr.archs.arch_util")


def _deform_conv2d(x, offset, weight, bias, stride, padding, dilation, mask):
    """x [B, C, H, W], offset [B, 18 G, H, W], mask [B, 9 G, H, W] -> [B, O, H, W]: EDVR's are all 3x3, 'same'."""
    assert (stride, padding, dilation) == (1, 1, 1)
    batch, channels, height, width = x.shape
    groups = mask.shape[1] // 9
    offset = offset.view(batch * groups, 9, 2, height, width)
    tap = torch.arange(9)
    down = torch.arange(height).view(-1, 1) + (tap // 3 - 1).view(-1, 1, 1) + offset[:, :, 0]
    across = torch.arange(width) + (tap % 3 - 1).view(-1, 1, 1) + offset[:, :, 1]
    grid = torch.stack([across * (2 / (width - 1)) - 1, down * (2 / (height - 1)) - 1], dim=-1)
    sampled = F.grid_sample(
        x.view(batch * groups, -1, height, width),
        grid.view(batch * groups, 9 * height, width, 2),
        align_corners=True,
    )
    sampled = sampled.view(batch * groups, -1, 9, height * width) * mask.view(batch * groups, 1, 9, height * width)
    products = weight.flatten(1) @ sampled.view(batch, channels * 9, height * width)
    return products.view(batch, -1, height, width) + bias.view(-1, 1, 1)
