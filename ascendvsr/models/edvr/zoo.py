"""The published weights of EDVR, as BasicSR gives them, and what this project trained itself."""

from ascendvsr.models.zoo import GOOGLE_DRIVE, Address, Record, Result, Shipped


def _official(
    name: str,
    config: str,
    task: str,
    file: str,
    drive: str,
    parameters: int,
    *results: Result,
    seconds: float | None = None,
) -> Record:
    """The first eight digits of the SHA-256 end the name of a file."""
    return Record(
        name=name,
        task=task,
        file=f"{file}.pth",
        sha256=file[-8:],
        license="Apache-2.0",
        sources=(Address(GOOGLE_DRIVE + drive),),
        config=f"edvr/{config}",
        results=results,
        parameters=parameters,
        seconds=seconds,
    )


ZOO = (
    Record(
        name="edvr_tiny_x4",
        task="x4 super-resolution, fast",
        file="edvr_tiny_x4.safetensors",
        sha256="ab46603662a2a6234a854842e34050303f201d954c4ee9386757901b8022894d",
        size=1_011_676,
        parameters=500_111,
        license="Apache-2.0",
        sources=(Shipped(),),
        config="tiny/edvr_tiny_x4",
        seconds=0.19,
    ),
    _official(
        "edvr_m_x4_reds",
        "edvr_m_x4_sr_reds",
        "x4 super-resolution",
        "EDVR_M_x4_SR_REDS_official-32075921",
        "1dd6aFj-5w2v08VJTq5mS9OFsD-wALYD6",
        3_300_131,
        Result("REDS4", 30.53, 0.8699, "rvrt"),
        seconds=1.1,
    ),
    _official(
        "edvr_m_x4_reds_wotsa",
        "edvr_m_x4_sr_reds_wotsa",
        "x4 super-resolution, without TSA",
        "EDVR_M_woTSA_x4_SR_REDS_official-1edf645c",
        "1C_WdN-NyNj-P7SOB5xIVuHl4EBOwd-Ny",
        2_996_259,
    ),
    _official(
        "edvr_l_x4_reds",
        "edvr_l_x4_sr_reds",
        "x4 super-resolution",
        "EDVR_L_x4_SR_REDS_official-9f5f5039",
        "127KXEjlCwfoPC1aXyDkluNwr9elwyHNb",
        20_633_827,
        Result("REDS4", 31.09, 0.8800, "rvrt"),
    ),
    _official(
        "edvr_l_x4_vimeo90k",
        "edvr_l_x4_sr_vimeo90k",
        "x4 super-resolution",
        "EDVR_L_x4_SR_Vimeo90K_official-162b54e4",
        "1aVR3lkX6ItCphNLcT7F5bbbC484h4Qqy",
        20_699_363,
        Result("Vid4", 27.35, 0.8264, "vid4", "Y"),
        Result("Vid4", 25.83, 0.8077, "vid4"),
    ),
    _official(
        "edvr_l_x4_blur_reds",
        "edvr_l_x4_srblur_reds",
        "x4 super-resolution of blurred frames",
        "EDVR_L_x4_SRblur_REDS_official-983d7b8e",
        "1GZz_87ybR8eAAY3X2HWwI3L6ny7-5Yvl",
        23_306_851,
        Result("REDS4-blur-bicubic", 28.88, 0.8361, "rvrt"),
    ),
    _official(
        "edvr_l_deblur_reds",
        "edvr_l_deblur_reds",
        "deblurring",
        "EDVR_L_deblur_REDS_official-ca46bd8c",
        "1_ma2tgHscZtkIY2tEJkVdU-UP8bnqBRE",
        23_602_019,
        Result("REDS4-blur", 34.80, 0.9487, "rvrt"),
    ),
    _official(
        "edvr_l_deblurcomp_reds",
        "edvr_l_deblurcomp_reds",
        "deblurring of compressed frames",
        "EDVR_L_deblurcomp_REDS_official-0e988e5c",
        "1fEoSeLFnHSBbIs95Au2W197p8e4ws4DW",
        23_602_019,
        Result("REDS4-blur-compressed", 30.24, 0.8567, "rvrt"),
    ),
)
