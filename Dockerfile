# The command rllib in a container, for a CPU:
#   docker build --tag rllib-ptm .
#   docker run --rm --shm-size 2g --volume "$PWD/results:/home/rllib/results" rllib-ptm example run ptm_small_mt_quick
# The folder results must be writable for user 1000. Ray keeps its objects in /dev/shm: hence --shm-size.
# For an NVIDIA GPU name one of PyTorch's CUDA builds, and run with --gpus all:
#   docker build --build-arg TORCH=cu130 --tag rllib-ptm .
FROM python:3.11-slim-bookworm
ARG TORCH=cpu
# The compiler builds the networks for the processor that the container runs on.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 rllib
WORKDIR /opt/rllib-ptm
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt \
    --extra-index-url "https://download.pytorch.org/whl/${TORCH}" '.[film,foraging,optuna,plot,sc2]'
USER rllib
WORKDIR /home/rllib
RUN rllib doctor
ENTRYPOINT ["rllib"]
CMD ["--help"]
