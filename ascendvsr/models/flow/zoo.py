"""The published weights of the flow networks that the restoring ones begin with."""

from ascendvsr.models.pvdnet.zoo import ARCHIVE as PVDNET_ARCHIVE
from ascendvsr.models.pvdnet.zoo import LICENSE as PVDNET_LICENSE
from ascendvsr.models.zoo import GOOGLE_DRIVE, Address, Record

SPYNET_ZOO = (
    Record(
        name="spynet_sintel_final",
        task="optical flow",
        file="spynet_sintel_final-3d2a1287.pth",
        sha256="3d2a1287",
        license="MPI-IS: non-commercial research only",
        sources=(
            Address("https://github.com/JingyunLiang/RVRT/releases/download/v0.0/spynet_sintel_final-3d2a1287.pth"),
            Address("https://github.com/JingyunLiang/VRT/releases/download/v0.0/spynet_sintel_final-3d2a1287.pth"),
            Address(GOOGLE_DRIVE + "1VZz1cikwTRVX7zXoD247DB7n5Tj_LQpF"),
        ),
        parameters=1_440_300,
    ),
)

PWCNET_ZOO = (
    Record(
        name="pwcnet_default",
        task="optical flow",
        file="network-default.pytorch",
        license="GPL-3.0",
        sources=(Address("http://content.sniklaus.com/github/pytorch-pwc/network-default.pytorch"),),
    ),
)

BIMNET_ZOO = (
    Record(
        name="bimnet",
        task="optical flow of blurred frames",
        file="BIMNet.pytorch",
        license=PVDNET_LICENSE,
        sources=(Address(PVDNET_ARCHIVE, "BIMNet.pytorch"),),
        config="pvdnet/bimnet",
    ),
)
