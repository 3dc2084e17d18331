"""Whether the vendor's operation that a configuration asks for can be here, before Keras is imported."""

import importlib.metadata
import importlib.util

from yacs.config import CfgNode

from ascendcv.utils.errors import InputError
from ascendvsr.models.card import Card

# section of `impl` -> the operation that it is about, in `ascendcv.ops.registry`
_OPERATIONS = {
    "edvr": "deform_conv2d",
    "rvrt": "deform_attn",
    "cdvd_tsp": "correlation",
    "pvdnet": "correlation",
    "deblur_devil": "correlation",
    "flow": "correlation",
}
# operation -> the package of a vendor that this project has an adapter to
VENDOR_PACKAGES = {"deform_conv2d": "npu_bridge"}


def check_implementation(cfg: CfgNode, card: Card) -> None:
    """Raises `InputError` where this network should use an accelerator's own operation, and there is none here."""
    for section in card.settings:
        if section not in _OPERATIONS or cfg[section].impl != "npu":
            continue
        if cfg.device in ("cpu", "gpu"):
            raise InputError(
                f"{section}.impl npu is an accelerator's own operation, and device is {cfg.device}: say device npu "
                f"or {section}.impl auto"
            )
        operation = _OPERATIONS[section]
        package = VENDOR_PACKAGES.get(operation)
        if importlib.metadata.entry_points(group="ascendcv.ops", name=operation):
            continue
        if package is None or importlib.util.find_spec(package) is None:
            missing = f", and the vendor's module {package} is not installed" if package else ""
            raise InputError(
                f"{section}.impl npu is an accelerator's own operation, and there is none here: no installed "
                f"package has an entry point {operation!r} in the group ascendcv.ops{missing}; "
                f"say {section}.impl auto"
            )
