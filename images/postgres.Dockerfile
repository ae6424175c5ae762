# PostgreSQL from Debian's own package, for where the public image cannot be pulled; it takes the same variables.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends postgresql-15 && \
    rm -rf /var/lib/apt/lists/* /var/lib/postgresql/15
ENV PATH=/usr/lib/postgresql/15/bin:$PATH \
    PGDATA=/var/lib/postgresql/data
RUN install -d -o postgres -g postgres -m 700 "$PGDATA" && install -d -o postgres -g postgres /var/run/postgresql
COPY infra/compose/postgres.sh /usr/local/bin/
USER postgres
VOLUME /var/lib/postgresql/data
EXPOSE 5432
HEALTHCHECK --interval=10s --timeout=3s CMD pg_isready --quiet
STOPSIGNAL SIGINT
ENTRYPOINT ["postgres.sh"]
