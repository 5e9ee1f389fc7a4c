# One image for a CPU, and with two build arguments one for an NVIDIA GPU. The steps are the
# Makefile's, so that what runs here is what everybody runs.
#   docker build -t omnilive .
#   docker build -t omnilive:cuda --build-arg DEVICE=cuda \
#       --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .
# Weights: omni-mini is inside. Others are mounted, or fetched at the start into a volume:
#   docker run --rm -p 8000:8000 omnilive
#   docker run … -v /path/to/models:/models:ro -e OMNILIVE_MODEL=/models/Qwen2.5-Omni-3B omnilive
#   docker run … -v omnilive-cache:/cache -e OMNILIVE_MODEL=Qwen/Qwen2.5-Omni-3B omnilive
FROM python:3.11-slim-bookworm

# g++ stays: the engine compiles its loops when it starts. Debian's point releases replace versions,
# so that a pinned one could not be had for long.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 omnilive \
    && install --directory --owner=10001 --group=10001 /srv/omnilive /cache

WORKDIR /srv/omnilive
# By number, so that a cluster can see that it is not root.
USER 10001:10001

# The wheels of torch bring CUDA's libraries with them: the base need not have them.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Extras of pyproject.toml with commas, as tracing.
ARG EXTRA=
COPY --chown=10001:10001 . .
RUN make .venv EXTRA="${EXTRA}" TORCH_INDEX="${TORCH_INDEX}" PIP_NO_CACHE_DIR=1

ARG DEVICE=cpu
# What is compiled and what is fetched lies in one place, which can be a volume; but for /tmp all else
# can be read-only. The NVIDIA_ variables mean something to that vendor's container runtime only.
ENV OMNILIVE_HOST=0.0.0.0 \
    OMNILIVE_PORT=8000 \
    OMNILIVE_DEVICE=${DEVICE} \
    HF_HOME=/cache/hub \
    TORCHINDUCTOR_CACHE_DIR=/cache/compiled \
    TRITON_CACHE_DIR=/cache/triton \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 8000

# Says whether conversations can be had: not while it loads, drains, or starts its engine again. An
# orchestrator that ends what is unhealthy should ask /healthz instead.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10m CMD \
    [".venv/bin/python", "-c", "import os, urllib.request as http; http.urlopen(f\"http://127.0.0.1:{os.environ['OMNILIVE_PORT']}/readyz\")"]

# Not `make serve`: signals must reach the server itself, so that it drains. Give it the time:
# docker stop -t must be longer than OMNILIVE_DRAIN_TIMEOUT_S.
ENTRYPOINT [".venv/bin/omnilive", "serve"]
