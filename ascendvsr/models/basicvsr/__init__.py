"""BasicVSR (Chan et al., CVPR 2021): features propagated backward and forward through a whole clip."""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "BasicVSR": "ascendvsr.models.basicvsr.network",
        "ConvResidualBlocks": "ascendvsr.models.basicvsr.network",
    },
)
