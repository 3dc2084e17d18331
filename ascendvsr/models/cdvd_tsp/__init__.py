"""CDVD-TSP (Pan et al., CVPR 2020): cascaded deblurring with a temporal sharpness prior."""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "CDVDTSP": "ascendvsr.models.cdvd_tsp.network",
        "Frames": "ascendvsr.models.cdvd_tsp.network",
        "ReconstructionNetwork": "ascendvsr.models.cdvd_tsp.network",
        "ResBlock": "ascendvsr.models.cdvd_tsp.network",
        "warped_inside": "ascendvsr.models.cdvd_tsp.network",
    },
)
