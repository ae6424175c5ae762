# The steps that generate with vLLM: evaluate and train whose engine is `vllm`.
# HARDWARE=cpu stands on any Python; HARDWARE=gpu stands on vLLM's own image, BASE=vllm/vllm-openai:v0.32.0.
ARG BASE=python:3.11-slim-bookworm
ARG WHEELS=scratch

FROM ${WHEELS} AS wheels

FROM ${BASE} AS built
# A compiler for the few packages that are published as sources; it stays in this stage.
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends gcc libc6-dev python3-dev >/dev/null && \
    python3 -m venv --system-site-packages /opt/effreason && /opt/effreason/bin/pip install -q --no-cache-dir wheel
ENV PATH=/opt/effreason/bin:$PATH
WORKDIR /src
ARG HARDWARE=cpu
ARG TORCH_INDEX=
COPY --from=wheels / /wheels/
COPY infra/vllm-${HARDWARE}.txt requirements.txt
# torchvision and its kin come as CUDA builds beside a torch without CUDA, and fail when they are imported.
RUN PIP_FIND_LINKS=/wheels PIP_EXTRA_INDEX_URL=${TORCH_INDEX} pip install --no-cache-dir -r requirements.txt && \
    if [ "${HARDWARE}" = cpu ]; then pip uninstall -q -y torchvision torchaudio torchcodec; fi
COPY pyproject.toml README.md LICENSE ./
COPY effreason effreason
RUN pip install --no-cache-dir --no-deps .

FROM ${BASE}
COPY --from=built /opt/effreason /opt/effreason
ARG VERSION=unknown
ARG COMMIT=
LABEL org.opencontainers.image.title="effreason generate" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
# On a CPU, vLLM's operators are linked with it; a slim Debian does not have it.
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends libnuma1 >/dev/null && rm -rf /var/lib/apt/lists/*
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
