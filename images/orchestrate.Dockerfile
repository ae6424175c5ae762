# What orchestrates and does no heavy step itself: the Prefect server, the worker, the one that registers deployments,
# the artifact browser. Prefect and effreason without torch.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS built
RUN python3 -m venv /opt/effreason
ENV PATH=/opt/effreason/bin:$PATH
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
# The dependencies first, from an empty package: they stay in the layer cache when only the code changes.
RUN mkdir effreason flows tasks && touch effreason/__init__.py flows/__init__.py tasks/__init__.py && \
    pip install --no-cache-dir -c constraints.txt '.[orchestrate,s3]' huggingface-hub && rm -r effreason flows tasks build
COPY effreason effreason
COPY flows flows
COPY tasks tasks
RUN pip install --no-cache-dir --no-deps --force-reinstall .

FROM ${BASE}
ARG VERSION=unknown
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="effreason orchestrate" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=built /opt/effreason /opt/effreason
COPY prefect.yaml /opt/deployments/
COPY infra/*.py /opt/deployments/infra/
COPY infra/compose /opt/deployments/infra/compose
COPY infra/s3 /opt/deployments/infra/s3
RUN useradd --uid 10001 --create-home --home-dir /var/lib/effreason effreason
ENV PATH=/opt/effreason/bin:$PATH \
    PREFECT_HOME=/var/lib/effreason/prefect \
    DO_NOT_TRACK=1 \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    PYTHONUNBUFFERED=1
USER effreason
WORKDIR /opt/deployments
VOLUME /var/lib/effreason
CMD ["effreason", "--help"]
