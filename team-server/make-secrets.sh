#!/bin/sh
# Write a new random secret for every password of compose.yaml that has none yet. Prints no secret.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }
keep() {
    if [ -e "secrets/$1" ]; then echo "kept   secrets/$1"; return; fi
    printf '%s' "$2" > "secrets/$1"
    echo "wrote  secrets/$1"
}
for name in postgres prefect mlflow ledger mlflow_admin worker; do
    keep "${name}_password" "$(random)"
done
keep mlflow_session_key "$(random)"
keep mlflow_admin_name admin
keep worker_name worker
keep prefect_auth "team:$(random)"
keep s3_access_key "$(random)"
keep s3_secret_key "$(random)"
keep s3_config "{\"identities\": [{\"name\": \"mlops\", \"credentials\": [{\"accessKey\": \"$(cat secrets/s3_access_key)\", \"secretKey\": \"$(cat secrets/s3_secret_key)\"}], \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\", \"Tagging\"]}]}"
# Compose hands the files on as they are, and not every container runs as root: what protects them
# on this machine is the folder, which only you can enter.
chmod 0444 secrets/*
chmod 0700 secrets
