#!/usr/bin/env bash
# A Debian with Python as a base for the images, made without any registry of images: for machines that reach a mirror
# of Debian and nothing else. It takes the machine's own certificate authorities along, so never push it anywhere.
#
#   infra/base-image.sh [NAME]        nothing is done if NAME exists; SUITE=bookworm
set -euo pipefail

name=${1:-effreason/base:local}
suite=${SUITE:-bookworm}
docker image inspect "$name" >/dev/null 2>&1 && exit 0
if ! command -v mmdebstrap >/dev/null; then
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends mmdebstrap >/dev/null
fi

mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/debian.sources)
authorities=()
if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
    # shellcheck disable=SC2016  $1 is for the shell of mmdebstrap
    authorities=(
        --customize-hook='copy-in /usr/local/share/ca-certificates /usr/local/share'
        --customize-hook='chroot "$1" update-ca-certificates >/dev/null'
    )
fi
bundle=/etc/ssl/certs/ca-certificates.crt
mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "${authorities[@]}" "$suite" - "$mirror" |
    docker import --change 'CMD ["bash"]' \
        --change "ENV LANG=C.UTF-8 SSL_CERT_FILE=$bundle PIP_CERT=$bundle REQUESTS_CA_BUNDLE=$bundle" - "$name" >/dev/null
