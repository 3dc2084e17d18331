# ascendvsr for processors (for NVIDIA GPUs: --build-arg EXTRA=gpu):
#   docker build -t ascendvsr:cpu .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" ascendvsr:cpu restore film.mp4 restored.mp4
FROM python:3.13-slim

ARG EXTRA=cpu

# The compiler makes the kernels that fit the processor, at the first use.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/ascendvsr
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY configs configs
COPY ascendcv ascendcv
COPY ascendvsr ascendvsr
RUN python -m pip install --no-cache-dir ".[${EXTRA},train,sample,cluster]"

# Any user may run it: what is downloaded and compiled goes to a folder that may be a volume.
ENV XDG_CACHE_HOME=/var/cache/ascendvsr
RUN mkdir -m 1777 /var/cache/ascendvsr

WORKDIR /work
USER 1000
ENTRYPOINT ["python", "-m", "ascendvsr"]
CMD ["--help"]
