#!/bin/sh
# Replaces the entry script of docker:dind (docker-library/docker, 29/dind). It adds
# dockerd and its default hosts before options alone. It starts dockerd through the script
# dind and docker-init, and any other program through docker-entrypoint.sh.
set -eu
case ${1:--} in
-*) set -- dockerd --host=unix:///var/run/docker.sock --host=tcp://0.0.0.0:2375 "$@" ;;
esac
if [ "$1" != dockerd ]; then
	exec docker-entrypoint.sh "$@"
fi
set -- docker-init -- "$@"
if [ -x /usr/local/bin/dind ]; then
	set -- /usr/local/bin/dind "$@"
fi
exec "$@"
