#!/bin/sh
# Installs the Debian packages of those commands that are missing, and prints their names.
#
#   test/deps/install.sh COMMAND...
#
# The arguments are commands and not packages, so that a machine keeps a dockerd from another
# source.
set -eu
PATH=$PATH:/usr/sbin:/sbin

package() {
	case $1 in
	dockerd) echo docker.io ;;
	docker) # the client is a package of its own since Debian 13
		if apt-cache show docker-cli >/dev/null 2>&1; then echo docker-cli; else echo docker.io; fi ;;
	busybox) echo busybox-static ;;
	qemu-system-x86_64) echo qemu-system-x86 ;;
	qemu-system-aarch64) echo qemu-system-arm ;;
	qemu-*-static) echo qemu-user-static ;;
	mkfs.ext4) echo e2fsprogs ;;
	depmod) echo kmod ;;
	ip) echo iproute2 ;;
	nsenter | unshare) echo util-linux ;;
	cc) echo gcc libc6-dev ;;
	dpkg-deb) echo dpkg ;;
	rpm2cpio) echo rpm ;;
	*) echo "$1" ;;
	esac
}

# A dynamic busybox does not do, because the images of the tests do not have its libraries.
provided() {
	command -v "$1" >/dev/null || return 1
	[ "$1" != busybox ] || ! ldd "$(command -v busybox)" >/dev/null 2>&1
}

missing() {
	for name; do
		provided "$name" || package "$name"
	done | xargs -n1 | sort -u | xargs
}

[ -n "$(missing "$@")" ] || exit 0
if ! command -v apt-get >/dev/null; then
	echo "deps: install these with your package manager: $(missing "$@")" >&2
	exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	sudo="sudo -n"
	if ! $sudo true 2>/dev/null; then
		echo "deps: run as root: apt-get install $(missing "$@")" >&2
		exit 1
	fi
fi

lists() { $sudo apt-get update -qq </dev/null >&2; }

# RUNLEVEL keeps invoke-rc.d(8) from starting the installed daemons. The tests start
# their own.
install() {
	# shellcheck disable=SC2086 # a list of words
	$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get install -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 $packages </dev/null
}

[ -n "$(find /var/lib/apt/lists -name '*Packages*' -print -quit)" ] || lists
packages=$(missing "$@")
echo "deps: apt-get install $packages" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! install >"$log" 2>&1; then
	lists # the lists may be old
	install >"$log" 2>&1 || {
		cat "$log" >&2
		exit 1
	}
fi
if [ -n "$(missing "$@")" ]; then
	echo "deps: installed, and still without: $(missing "$@")" >&2
	exit 1
fi
