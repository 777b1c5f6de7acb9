#!/bin/sh
# Prints the file NOTICE, which has the licences of the code that is linked into the binary:
#
#	tools/notices/notices.sh >NOTICE
#
# go-licenses reads them from the module cache. It also looks for web addresses of the licences,
# which NOTICE does not need, and warns where it has no network. Go has the licence of x/sys
# (notices.tmpl). Every port links the same modules.
set -eu
cd "$(dirname "$0")/../.."
export CGO_ENABLED=0 GOOS=linux
warnings=$(mktemp)
trap 'rm -f "$warnings"' EXIT
go tool -modfile="$PWD/tools/go.mod" go-licenses report . --ignore github.com/cgshim/cgshim \
	--template tools/notices/notices.tmpl 2>"$warnings" || { cat "$warnings" >&2 && exit 1; }
