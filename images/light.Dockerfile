# The steps that hold no weights: prepare and report. No torch; one image for machines with and without GPUs.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS built
# A compiler for the few packages that are published as sources; it stays in this stage.
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends gcc libc6-dev python3-dev >/dev/null && \
    python3 -m venv /opt/effreason && /opt/effreason/bin/pip install -q --no-cache-dir wheel
ENV PATH=/opt/effreason/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
# The dependencies first, from an empty package: they stay in the layer cache when only the code changes.
RUN mkdir effreason && touch effreason/__init__.py && \
    pip install --no-cache-dir -c constraints.txt '.[data,s3]' && rm -r effreason build
COPY effreason effreason
RUN pip install --no-cache-dir --no-deps --force-reinstall .

FROM ${BASE}
COPY --from=built /opt/effreason /opt/effreason
ARG VERSION=unknown
ARG COMMIT=
LABEL org.opencontainers.image.title="effreason light" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
# Whatever number the step runs as, it may write here and nowhere else.
RUN mkdir -p /cache && chmod 1777 /cache /tmp
ENV PATH=/opt/effreason/bin:$PATH \
    EFFREASON_COMMIT=${COMMIT} \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    USER=effreason
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK --interval=60s --timeout=30s CMD ["effreason", "--help"]
ENTRYPOINT ["python", "-m", "effreason"]
CMD ["--help"]
