# Trains detectors and adapters on an NVIDIA GPU, with Unsloth. Mount a folder at /runs and the cache.
# deploy/docker/build builds it.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /app
COPY requirements/train-gpu.txt requirements/train-gpu.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements/train-gpu.txt
COPY . .
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q models training

FROM ${PYTHON}
# Triton compiles the launchers of its kernels with a C compiler. Debian keeps only the newest version.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && useradd --uid 10001 --user-group --create-home fye \
    && install -d -o fye -g fye /cache /runs
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH FYE_CACHE=/cache PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /app
RUN python deploy/docker/sbom.py > sbom.cdx.json
USER 10001:10001
VOLUME ["/cache", "/runs"]
ENTRYPOINT ["python", "-m", "training"]
CMD ["--help"]
