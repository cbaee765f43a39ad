# The demo and the benchmarks in a container, from a clone:
#
#   docker build -t stockade .
#   docker run --rm stockade
#   docker run --rm -v "$PWD/docs/runs:/stockade/docs/runs" stockade cargo xtask study
#   cargo xtask numbers
#
# The last one fills the clone's documents from the reports that the container left there.
#
# Building brings ONNX Runtime, the model and every dependency, and compiles: ten minutes and more, and a network.
# Without peers what is run later needs none; `cargo xtask study` brings the Python environment that it compares
# with (6 GB) unless it is told `--without-peers`.
FROM rust:1.95-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# pip downloads what the set-up verifies; the virtual environment is for the peers.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*

ENV STOCKADE_CACHE=/cache \
    STOCKADE_DATA=/data

WORKDIR /stockade
COPY . .
RUN cargo xtask setup && ln -s /cache/target/release/stockade /usr/local/bin/stockade

CMD ["cargo", "xtask", "demo"]
