#!/usr/bin/env bash
# `make up`: settings, the images of the steps, then the stack. COMPOSE names the command, BASE what images stand on.
set -euo pipefail
cd "$(dirname "$0")/../.."

"${PYTHON:-python3}" -m infra.compose.settings
set -a
# shellcheck source=/dev/null
. ./.env
set +a
case ${COMPOSE_PROFILES:-} in
*gpu*) export HARDWARE=gpu ;;
esac
mkdir -p -m 1777 "$LOCKS/$LEASES"
IMAGES=${STEP_IMAGES:-effreason} infra/images.sh light train
# shellcheck disable=SC2086  it may be two words
exec ${COMPOSE:-docker compose} up --detach --build
