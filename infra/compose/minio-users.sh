#!/bin/sh
# Two users of MinIO beside root: one that may do what infra/s3/policy.json says, and one that may only read of that.
set -eu
: "${S3_BUCKET:?}" "${S3_PREFIX:?}" "${S3_ROOT_KEY:?}" "${S3_ROOT_SECRET:?}" "${S3_KEY:?}" "${S3_SECRET:?}"
: "${S3_READER_KEY:?}" "${S3_READER_SECRET:?}"
export MC_CONFIG_DIR=/tmp/mc

user() { # NAME KEY SECRET; its policy is /tmp/NAME.json
    mc admin policy create store "$1" "/tmp/$1.json"
    mc admin user add store "$2" "$3"
    mc admin policy attach store "$1" --user "$2" ||
        mc admin policy entities store --user "$2" | grep -q "$1" # it has it from an earlier start
}

mc alias set store http://store:9000 "$S3_ROOT_KEY" "$S3_ROOT_SECRET" >/dev/null
sed -e "s/BUCKET/$S3_BUCKET/" -e "s/PREFIX/$S3_PREFIX/" /etc/effreason/policy.json >/tmp/effreason.json
sed -E 's/s3:(AbortMultipartUpload|DeleteObject|PutObject)/s3:GetObject/' /tmp/effreason.json >/tmp/reader.json
user effreason "$S3_KEY" "$S3_SECRET"
user reader "$S3_READER_KEY" "$S3_READER_SECRET"
