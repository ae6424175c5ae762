#!/bin/sh
# One server whose S3 gateway alone is to be reached from outside, with three users: one that may do anything, one that
# may read and write in the one bucket, and one that may only read there.
set -eu
: "${S3_BUCKET:?}" "${S3_ROOT_KEY:?}" "${S3_ROOT_SECRET:?}" "${S3_KEY:?}" "${S3_SECRET:?}"
: "${S3_READER_KEY:?}" "${S3_READER_SECRET:?}"

user() { # NAME KEY SECRET ACTIONS
    printf '{"name":"%s","credentials":[{"accessKey":"%s","secretKey":"%s"}],"actions":[%s]}' "$1" "$2" "$3" "$4"
}

umask 077
{
    printf '{"identities":['
    user root "$S3_ROOT_KEY" "$S3_ROOT_SECRET" '"Admin"'
    printf ','
    user effreason "$S3_KEY" "$S3_SECRET" "\"Read:$S3_BUCKET\",\"Write:$S3_BUCKET\",\"List:$S3_BUCKET\""
    printf ','
    user reader "$S3_READER_KEY" "$S3_READER_SECRET" "\"Read:$S3_BUCKET\",\"List:$S3_BUCKET\""
    printf ']}'
} >/tmp/s3.json

export GOMEMLIMIT="${GOMEMLIMIT:-512MiB}" HOME=/tmp
exec weed -logtostderr=true server -dir=/data -ip=127.0.0.1 -ip.bind=127.0.0.1 \
    -master.telemetry=false -master.resumeState=false -master.volumeSizeLimitMB=256 -volume.max=200 \
    -volume.preStopSeconds=0 \
    -s3 -s3.ip.bind=0.0.0.0 -s3.port=9000 -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false \
    -s3.allowDeleteBucketNotEmpty=false -s3.autoCreateBucket=false -s3.config=/tmp/s3.json
