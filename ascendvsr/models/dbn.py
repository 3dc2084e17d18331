"""The place of DBN before its folder, `ascendvsr.models.deblur_devil`; kept for what imports it from here."""

from ascendvsr.models.deblur_devil.dbn import DBN, EncoderDecoder, KernelInitializer, middle_of, restore_center

__all__ = ["DBN", "EncoderDecoder", "KernelInitializer", "middle_of", "restore_center"]
