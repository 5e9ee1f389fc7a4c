# The steps are the Makefile's, so that what runs here is what everybody runs.
# Build:  docker build -t omnilive .
# Run:    docker run --rm -p 8000:8000 omnilive
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 omnilive

WORKDIR /srv/omnilive
RUN chown omnilive:omnilive /srv/omnilive
USER omnilive

# The build without CUDA; for a GPU: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --chown=omnilive:omnilive . .
RUN make .venv EXTRA= TORCH_INDEX=${TORCH_INDEX}

ENV OMNILIVE_HOST=0.0.0.0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s CMD \
    [".venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz')"]

# Not `make serve`: signals must reach the server itself, so that it ends in order.
ENTRYPOINT [".venv/bin/omnilive", "serve"]
