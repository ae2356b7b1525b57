# Serves on NVIDIA GPUs. The CUDA libraries come with the wheels; the host needs the driver and its
# container toolkit. deploy/docker/build builds it.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /app
COPY requirements/gpu.txt requirements/gpu.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements/gpu.txt
COPY . .
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q models serve

FROM ${PYTHON}
# Triton compiles the launchers of its kernels with a C compiler when a model is loaded: without gcc
# vLLM does not start on a GPU. Debian keeps only the newest version of a package.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev wget \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && useradd --uid 10001 --user-group --create-home fye \
    && install -d -o fye -g fye /cache /run/fye-haproxy
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH FYE_CACHE=/cache PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /app
RUN python deploy/docker/sbom.py > sbom.cdx.json
USER 10001:10001
EXPOSE 8000
VOLUME /cache
HEALTHCHECK --start-period=10m --interval=10s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/readyz"]
CMD ["python", "-m", "serve", "run", "--config", "deploy/docker/serve-gpu.yaml", "--host", "0.0.0.0"]
