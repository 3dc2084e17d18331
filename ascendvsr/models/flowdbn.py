"""The place of FlowDBN before its folder, `ascendvsr.models.deblur_devil`; kept for what imports it from here."""

from ascendvsr.models.deblur_devil.flowdbn import FlowDBN

__all__ = ["FlowDBN"]
