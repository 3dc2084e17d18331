"""What this project trained of DBN. The authors' own files have no address that a program can fetch them from."""

from ascendvsr.models.zoo import Record, Shipped

ZOO = (
    Record(
        name="denoise_tiny",
        task="denoising, told the deviation of the noise, fast",
        file="denoise_tiny.safetensors",
        sha256="1982a3cc863dea087fba04b3ba0b2cf929050589bb019baf58e68b6fa76be963",
        size=1_954_368,
        license="Apache-2.0",
        sources=(Shipped(),),
        config="tiny/denoise_tiny",
        parameters=967_676,
        seconds=0.25,
    ),
    Record(
        name="deblur_tiny",
        task="deblurring, fast",
        file="deblur_tiny.safetensors",
        sha256="29dfc9020cc4ce10390c5cc0272f929a36416b04042d499e406c219fd7a6d38b",
        size=1_953_210,
        license="Apache-2.0",
        sources=(Shipped(),),
        config="tiny/deblur_tiny",
        parameters=967_101,
        seconds=0.23,
    ),
)
