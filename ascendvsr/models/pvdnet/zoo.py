"""The published weights of PVDNet: one archive holds them all."""

from ascendvsr.models.zoo import Address, Record, Result

ARCHIVE = "https://www.dropbox.com/sh/frpegu68s0yx8n9/AACrptFFhxejSyKJBvLdk9IJa?dl=1"
LICENSE = "AGPL-3.0"


def _official(name: str, parameters: int, seconds: float | None, *results: Result) -> Record:
    file = f"PVDNet_{name}.pytorch"
    return Record(
        name=f"pvdnet_{name.lower()}",
        task="deblurring, frame by frame",
        file=file,
        license=LICENSE,
        sources=(Address(ARCHIVE, file),),
        config=f"pvdnet/pvdnet_{name.lower()}",
        results=results,
        parameters=parameters,
        seconds=seconds,
    )


ZOO = (
    _official("DVD", 10_514_548, 2.6, Result("DVD10", 32.31, 0.9260, "pvdnet_paper", "Y")),
    _official("nah", 10_514_548, 2.6, Result("GoPro11", 31.98, 0.9280, "pvdnet_paper", "Y")),
    _official("large_nah", 23_361_780, None),
)
