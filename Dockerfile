# docker build -t mdx .                           for the CPU
# docker build --build-arg RUNTIME=gpu -t mdx .   for NVIDIA GPUs: onnxruntime-gpu with CUDA's libraries
# docker build --build-arg EXTRAS="web fast" .    with extras of pyproject.toml
#
# docker run --rm -v "$PWD:/music" mdx separate song.mp3           (for GPUs: docker run --gpus all …)
# docker run --rm -p 8501:8501 mdx web --host 0.0.0.0              (with the extra web)
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS build
ARG RUNTIME=cpu
ARG EXTRAS=""
WORKDIR /source
COPY . .
RUN python -m venv /opt/mdx
ENV PATH=/opt/mdx/bin:$PATH
RUN case "$RUNTIME" in \
      cpu) scripts/install $EXTRAS ;; \
      gpu) scripts/install --gpu $EXTRAS ;; \
      *) echo "RUNTIME is cpu or gpu, not $RUNTIME" >&2; exit 2 ;; \
    esac

FROM python:${PYTHON_VERSION}-slim
COPY --from=build /opt/mdx /opt/mdx
ENV PATH=/opt/mdx/bin:$PATH MDX_CACHE_DIR=/tmp/mdx MDX_WEIGHTS_DIR=/weights
RUN mdx systems >/dev/null
VOLUME /weights
WORKDIR /music
EXPOSE 8501
ENTRYPOINT ["mdx"]
CMD ["--help"]
