"""DBN and FlowDBN of "Deep Video Deblurring: The Devil is in the Details" (Gast and Roth, ICCV Workshops 2019)."""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "DBN": "ascendvsr.models.deblur_devil.dbn",
        "EncoderDecoder": "ascendvsr.models.deblur_devil.dbn",
        "KernelInitializer": "ascendvsr.models.deblur_devil.dbn",
        "FlowDBN": "ascendvsr.models.deblur_devil.flowdbn",
    },
)
