#!/usr/bin/env bash
# A Docker engine where none answers: Debian's package, its daemon started by hand, for machines without systemd such as
# those of continuous integration. As root; called again it does nothing.
#
#   infra/start-docker.sh [LOG]
set -euo pipefail

log=$(realpath -m "${1:-/var/log/dockerd.log}")
docker info >/dev/null 2>&1 && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "No Docker engine answers, and only root can start one." >&2
    exit 1
fi
if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker.io iptables >/dev/null
fi
setsid dockerd </dev/null >>"$log" 2>&1 &
daemon=$!
for _ in $(seq 120); do
    docker info >/dev/null 2>&1 && exit 0
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.5
done
echo "The Docker engine did not start; the end of $log:" >&2
tail -n 5 "$log" >&2
exit 1
