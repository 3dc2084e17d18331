"""Networks that estimate optical flow."""

from ascendcv.utils.lazy import lazy_names

__getattr__, __all__ = lazy_names(
    __name__,
    {
        "FlowNet1S": "ascendvsr.models.flow.flownet1s",
        "LiteFlowNet": "ascendvsr.models.flow.liteflownet",
        "PWCNet": "ascendvsr.models.flow.pwcnet",
        "PWCNetDevil": "ascendvsr.models.flow.pwcnet_devil",
        "SpyNet": "ascendvsr.models.flow.spynet",
    },
)
