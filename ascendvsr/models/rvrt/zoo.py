"""The published weights of RVRT."""

from ascendvsr.models.zoo import Address, Record, Result

_RELEASE = "https://github.com/JingyunLiang/RVRT/releases/download/v0.0/"


def _official(
    number: str, data: str, task: str, file: str, parameters: int, *results: Result, seconds: float | None = None
) -> Record:
    return Record(
        name=f"rvrt_{number}_{data}",
        task=task,
        file=f"{number}_RVRT_{file}.pth",
        license="CC-BY-NC-4.0: no commercial use",
        sources=(Address(f"{_RELEASE}{number}_RVRT_{file}.pth"),),
        config=f"rvrt/{number}_{file.lower()}",
        results=results,
        parameters=parameters,
        seconds=seconds,
    )


ZOO = (
    _official(
        "001",
        "reds",
        "x4 super-resolution",
        "videosr_bi_REDS_30frames",
        10_782_295,
        Result("REDS4", 32.75, 0.9113, "rvrt"),
        seconds=3.4,
    ),
    _official(
        "002",
        "vimeo90k_bi",
        "x4 super-resolution",
        "videosr_bi_Vimeo_14frames",
        10_782_295,
        Result("Vimeo-90K-T", 38.15, 0.9527, "rvrt", "Y"),
        Result("Vid4", 27.99, 0.8462, "vid4", "Y"),
        seconds=3.4,
    ),
    _official(
        "003",
        "vimeo90k_bd",
        "x4 super-resolution of frames blurred before subsampling",
        "videosr_bd_Vimeo_14frames",
        10_782_295,
        Result("Vimeo-90K-T-BD", 38.59, 0.9576, "rvrt", "Y"),
        Result("UDM10", 40.90, 0.9729, "rvrt", "Y"),
        Result("Vid4-BD", 29.54, 0.8810, "vid4", "Y"),
        seconds=3.4,
    ),
    _official(
        "004",
        "dvd",
        "deblurring",
        "videodeblurring_DVD_16frames",
        13_573_159,
        Result("DVD10", 34.30, 0.9655, "dvd"),
        seconds=4.9,
    ),
    _official(
        "005",
        "gopro",
        "deblurring",
        "videodeblurring_GoPro_16frames",
        13_573_159,
        Result("GoPro11", 34.92, 0.9738, "gopro"),
        seconds=4.9,
    ),
    _official(
        "006",
        "davis",
        "denoising, told the deviation",
        "videodenoising_DAVIS_16frames",
        12_786_919,
        Result("DAVIS-test", 40.57, None, "rvrt", sigma=10),
        Result("DAVIS-test", 38.05, None, "rvrt", sigma=20),
        Result("DAVIS-test", 36.57, None, "rvrt", sigma=30),
        Result("DAVIS-test", 35.47, None, "rvrt", sigma=40),
        Result("DAVIS-test", 34.57, None, "rvrt", sigma=50),
    ),
)
