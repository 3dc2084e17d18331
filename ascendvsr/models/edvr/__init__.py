"""EDVR (Wang et al., CVPR Workshops 2019): deformable alignment and attention over a window of frames."""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "EDVR": "ascendvsr.models.edvr.network",
        "PCDAlignment": "ascendvsr.models.edvr.network",
        "PredeblurModule": "ascendvsr.models.edvr.network",
        "TSAFusion": "ascendvsr.models.edvr.network",
    },
)
