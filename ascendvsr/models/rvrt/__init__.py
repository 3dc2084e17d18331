"""RVRT (Liang et al., NeurIPS 2022): recurrence over clips of frames with guided deformable attention."""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "BRANCHES": "ascendvsr.models.rvrt.network",
        "RVRT": "ascendvsr.models.rvrt.network",
    },
)
