"""What this project trained of DBN. The authors' own files have no address that a program can fetch them from."""

from ascendvsr.models.zoo import Record, Shipped

ZOO = (
    Record(
        name="denoise_tiny",
        task="denoising, told the deviation of the noise, fast",
        file="denoise_tiny.safetensors",
        sha256="",
        size=0,
        licence="Apache-2.0",
        sources=(Shipped(),),
        config="tiny/denoise_tiny",
        parameters=967_676,
    ),
    Record(
        name="deblur_tiny",
        task="deblurring, fast",
        file="deblur_tiny.safetensors",
        sha256="",
        size=0,
        licence="Apache-2.0",
        sources=(Shipped(),),
        config="tiny/deblur_tiny",
        parameters=967_101,
    ),
)
