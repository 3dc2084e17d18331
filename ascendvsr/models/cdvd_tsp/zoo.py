"""The published weights of CDVD-TSP: in a folder of Google Drive, which gives no file to a program."""

from ascendvsr.models.zoo import Page, Record, Result

_FOLDER = Page("https://drive.google.com/drive/folders/1lw_1jITafEQ9DvMys_S6aYwtNApYKWsz")


def _official(name: str, file: str, config: str, *results: Result) -> Record:
    return Record(
        name=f"cdvd_tsp_{name}",
        task="deblurring",
        file=f"{file}.pt",
        license="MIT",
        sources=(_FOLDER,),
        config=f"cdvd_tsp/{config}",
        results=results,
        parameters=16_187_045,
        seconds=7.4,
    )


ZOO = (
    _official("dvd_paper", "CDVD_TSP_DVD_Paper", "dvd_paper", Result("DVD10", 32.13, 0.9268, "cdvd_tsp")),
    _official("dvd_convergent", "CDVD_TSP_DVD_Convergent", "dvd_convergent"),
    _official("gopro", "CDVD_TSP_GOPRO", "gopro", Result("GoPro11", 31.67, 0.9279, "cdvd_tsp")),
)
