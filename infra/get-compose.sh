#!/usr/bin/env bash
# Docker Compose v2 and buildx as plugins of the docker command, for a Debian whose own packages have neither: taken out
# of the packages of the next release, which need nothing but libc. Nothing is installed system-wide.
#
#   infra/get-compose.sh DIR        then  export DOCKER_CONFIG=DIR; docker compose version
set -euo pipefail

plugins=$(realpath -m "${1:?the folder to put cli-plugins/ into}")/cli-plugins
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
mkdir -p "$plugins" "$scratch"/lists/partial "$scratch"/archives/partial
touch "$scratch/status"

mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$scratch/sources.list"
cat >"$scratch/apt.conf" <<CONF
Dir::State::Lists "$scratch/lists";
Dir::State::status "$scratch/status";
Dir::Cache "$scratch";
Dir::Cache::archives "archives";
Dir::Etc::SourceList "$scratch/sources.list";
Dir::Etc::SourceParts "-";
CONF

export APT_CONFIG=$scratch/apt.conf
apt-get -qq update
cd "$scratch"
apt-get -qq download docker-compose docker-buildx 2>/dev/null
for package in *.deb; do
    dpkg-deb --extract "$package" unpacked
done
cp unpacked/usr/libexec/docker/cli-plugins/docker-{compose,buildx} "$plugins/"
