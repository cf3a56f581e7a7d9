#!/bin/sh
# Start a program with the secrets of this container in its environment: a file NAME becomes the
# variable NAME. Files with other names are left to those who read files. Nothing is printed.
set -eu
for file in "${SECRETS:-/run/secrets}"/*; do
    name=${file##*/}
    case $name in
    *[!A-Z0-9_]*) ;;
    *) export "$name=$(cat "$file")" ;;
    esac
done
exec "$@"
