# Serves on CPUs; also the head and the detectors of a cluster. deploy/docker/build builds it.
# PYTHON is any image with Python 3.11 and its venv module. Give a digest where builds must not change.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /app
COPY requirements/cpu.txt requirements/cpu.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --index-url "$TORCH_INDEX" torch==2.13.0+cpu \
    && /opt/venv/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements/cpu.txt
COPY . .
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation --editable . \
    && /opt/venv/bin/python -m compileall -q models serve

FROM ${PYTHON}
# KubeRay's probes call wget, and vLLM's CPU operators load libnuma. Debian keeps only the newest version of a package, so none is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libnuma1 wget \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && useradd --uid 10001 --user-group --create-home fye \
    && install -d -o fye -g fye /cache /run/fye-haproxy
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:$PATH FYE_CACHE=/cache PYTHONUNBUFFERED=1
WORKDIR /app
RUN python deploy/docker/sbom.py > sbom.cdx.json
USER 10001:10001
EXPOSE 8000
VOLUME /cache
HEALTHCHECK --start-period=10m --interval=10s CMD ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8000/readyz"]
CMD ["python", "-m", "serve", "run", "--config", "deploy/docker/serve-cpu.yaml", "--host", "0.0.0.0"]
