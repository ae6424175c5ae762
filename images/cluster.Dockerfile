# A node of a Ray cluster, or a pod in which a whole sweep runs: what trains and evaluates, and Prefect and Ray as well.
# It stands on the image of `make images ONLY=train`; docs/scaling.md.
ARG TRAIN=effreason/train:local
FROM ${TRAIN}
ARG VERSION=unknown
ARG COMMIT=
LABEL org.opencontainers.image.title="effreason cluster" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER root
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY effreason effreason
COPY flows flows
COPY tasks tasks
# Ray's dashboard is what KubeRay submits jobs through.
RUN pip install --no-cache-dir -c constraints.txt '.[train,s3,ray]' 'ray[default]' && rm -r /src/*
# A pod has a volume at /cache. A run that says nothing for 90 s is counted as dead: infra/zombies.py.
ENV DO_NOT_TRACK=1 \
    HF_HOME=/cache/huggingface \
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY=30 \
    PREFECT_HOME=/tmp/prefect \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    RAY_USAGE_STATS_ENABLED=0 \
    XDG_CACHE_HOME=/cache
USER 10001:10001
WORKDIR /tmp
HEALTHCHECK NONE
ENTRYPOINT []
CMD ["effreason", "--help"]
