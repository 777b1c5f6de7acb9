#!/bin/sh
# Stands for the entry script of docker:dind (docker-library/docker, 29/dind): options
# alone get dockerd's default hosts, dockerd gets docker-init and the script dind before
# it, and any other program goes through docker-entrypoint.sh.
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
