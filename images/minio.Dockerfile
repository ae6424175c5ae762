# MinIO's last security release and its client, from source: since October 2025 there are no images of it to pull.
ARG GO=golang:1.24-bookworm
ARG BASE=debian:bookworm-slim

FROM ${GO} AS built
ARG MINIO=RELEASE.2025-10-15T17-29-55Z
ARG MINIO_CLIENT=RELEASE.2025-08-13T08-35-41Z
ENV CGO_ENABLED=0 GOBIN=/out GOFLAGS=-trimpath
RUN go install -tags kqueue -ldflags "-s -w -X github.com/minio/minio/cmd.ReleaseTag=${MINIO}" \
        "github.com/minio/minio@${MINIO}" && \
    go install -ldflags "-s -w" "github.com/minio/mc@${MINIO_CLIENT}"

FROM ${BASE}
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* && \
    useradd --uid 10002 --create-home --home-dir /data minio
COPY --from=built /out/minio /out/mc /usr/local/bin/
COPY infra/compose/minio-users.sh /usr/local/bin/
COPY infra/s3/policy.json /etc/effreason/
USER minio
WORKDIR /data
VOLUME /data
EXPOSE 9000
HEALTHCHECK --interval=5s --timeout=3s --retries=12 CMD ["mc", "--config-dir", "/tmp/mc", "ready", "local"]
CMD ["minio", "server", "/data", "--address", ":9000"]
