"""Video restoration networks for Keras 3, with their weights, training, restoration and export.

>>> import ascendvsr
>>> network = ascendvsr.EDVR(num_feat=32)
>>> ascendvsr.restore(network, "clip.mp4", "restored.mp4")  # doctest: +SKIP

Names are imported when they are first used.
"""

from ascendcv.utils.lazy import lazy_names

__version__ = "0.1.0"

_MODELS = "ascendvsr.models"
__getattr__, __all__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("CDVDTSP", "DBN", "EDVR", "RVRT", "BasicVSR", "FlowDBN", "PVDNet"), _MODELS),
        "KerasRunner": "ascendvsr.models.keras_runner",
        "Settings": "ascendvsr.restoration.settings",
        "evaluate_model": "ascendvsr.evaluation.scoring",
        "restore": "ascendvsr.restoration.restore",
    },
)
