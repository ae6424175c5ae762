# The steps that hold weights: train, and evaluate with the project's own sampler. torch, transformers and TRL.
# TORCH_INDEX says which torch: https://download.pytorch.org/whl/cpu, or for GPUs https://download.pytorch.org/whl/cu130.
# WHEELS may be an image with wheels in its root, for machines that get torch otherwise.
ARG BASE=python:3.11-slim-bookworm
ARG WHEELS=scratch

FROM ${WHEELS} AS wheels

FROM ${BASE} AS built
# A compiler for the few packages that are published as sources; it stays in this stage.
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends gcc libc6-dev python3-dev >/dev/null && \
    python3 -m venv /opt/effreason && /opt/effreason/bin/pip install -q --no-cache-dir wheel
ENV PATH=/opt/effreason/bin:$PATH
WORKDIR /src
ARG TORCH_INDEX=
COPY --from=wheels / /wheels/
COPY pyproject.toml constraints.txt README.md LICENSE ./
# The dependencies first, from an empty package: they stay in the layer cache when only the code changes.
RUN mkdir effreason && touch effreason/__init__.py && \
    PIP_FIND_LINKS=/wheels PIP_EXTRA_INDEX_URL=${TORCH_INDEX} \
    pip install --no-cache-dir -c constraints.txt '.[train,s3]' && rm -r effreason build
COPY effreason effreason
RUN pip install --no-cache-dir --no-deps --force-reinstall .

FROM ${BASE}
COPY --from=built /opt/effreason /opt/effreason
ARG VERSION=unknown
ARG COMMIT=
LABEL org.opencontainers.image.title="effreason train" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Whatever number the step runs as, it may write here and nowhere else.
RUN mkdir -p /cache && chmod 1777 /cache /tmp
ENV PATH=/opt/effreason/bin:$PATH \
    EFFREASON_COMMIT=${COMMIT} \
    HOME=/tmp \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONUNBUFFERED=1 \
    USER=effreason
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=60s --timeout=30s CMD ["effreason", "--help"]
ENTRYPOINT ["python", "-m", "effreason"]
CMD ["--help"]
