#!/usr/bin/env bash
# The images that steps run in:  infra/images.sh light train generate
# and, on that of train, the one of a cluster's nodes:  infra/images.sh cluster
#
#   HARDWARE=cpu|gpu   what train and generate are for; cpu
#   BASE=IMAGE         what they stand on; BASE=debian makes a base of Debian first, where no registry can be reached
#   IMAGES, TAG        their names are $IMAGES/light:$TAG; effreason and local
set -euo pipefail
cd "$(dirname "$0")/.."

hardware=${HARDWARE:-cpu} images=${IMAGES:-effreason} tag=${TAG:-local} base=${BASE:-}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
commit=$(git rev-parse HEAD 2>/dev/null || echo "")
[ -z "$(git status --porcelain --untracked-files=no 2>/dev/null)" ] || commit+=-dirty

if [ "$base" = debian ]; then
    base=$images/base:$tag
    infra/base-image.sh "$base"
fi

# A folder of wheels that pip here takes torch from is handed to the build as an image.
wheels=scratch torch_index=https://download.pytorch.org/whl/$([ "$hardware" = gpu ] && echo cu130 || echo cpu)
if [ -n "${PIP_FIND_LINKS:-}" ] && compgen -G "$PIP_FIND_LINKS/torch-*.whl" >/dev/null; then
    wheels=$images/wheels:$tag torch_index=
    printf 'FROM scratch\nCOPY torch-*.whl /\n' | docker build --quiet --tag "$wheels" --file - "$PIP_FIND_LINKS" >/dev/null
fi

for image in "$@"; do
    arguments=(--build-arg "VERSION=$version" --build-arg "COMMIT=$commit")
    [ -z "$base" ] || arguments+=(--build-arg "BASE=$base")
    case $image in
    train) arguments+=(--build-arg "WHEELS=$wheels" --build-arg "TORCH_INDEX=$torch_index") ;;
    cluster) arguments+=(--build-arg "TRAIN=$images/train:$tag") ;;
    generate) arguments+=(--build-arg "HARDWARE=$hardware" --build-arg "WHEELS=$wheels" --build-arg "TORCH_INDEX=$torch_index") ;;
    esac
    echo "$images/$image:$tag"
    docker build --quiet --tag "$images/$image:$tag" "${arguments[@]}" --file "images/$image.Dockerfile" . >/dev/null
done
