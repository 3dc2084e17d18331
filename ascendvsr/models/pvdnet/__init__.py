"""PVDNet (Son et al., TOG 2021): recurrent deblurring with pixel volumes."""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "DeblurringNetwork": "ascendvsr.models.pvdnet.network",
        "PVDNet": "ascendvsr.models.pvdnet.network",
    },
)
