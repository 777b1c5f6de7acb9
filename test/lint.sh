#!/bin/sh
# Runs the checks that only read the sources. Every tool runs, even after a failure.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
bad=0

# say runs a command and notes a failure if the status is not 0. quiet runs a command and also
# notes a failure if the command prints anything to standard output. quiet ignores standard
# error, where the go command reports downloads.
say() { "$@" || { echo "lint: $*" >&2 && bad=1; }; }
quiet() {
	output=$("$@") && [ -z "$output" ] && return
	printf '%s\nlint: %s\n' "$output" "$*" >&2
	bad=1
}
# shellcheck disable=SC2317 # called by name
tool() { go tool -modfile="$root/tools/go.mod" "$@"; }

files=$(git ls-files --cached --others --exclude-standard | while read -r file; do
	[ ! -f "$file" ] || echo "$file"
done)
[ -n "$files" ] || { echo "lint: this is no git checkout" >&2 && exit 1; }
scripts=$(echo "$files" | while read -r file; do
	head -n 1 "$file" | grep -aqE '^#! ?/.*[/ ](ba|da)?sh( |$)' && echo "$file"
done)

# The modules in test/programs are left out. They only pin programs from elsewhere, and
# `go mod tidy` would also pin the dependencies of these programs' tests.
for mod in $(echo "$files" | grep -E '(^|/)go\.mod$' | grep -v '^test/programs/'); do
	cd "$root/$(dirname "$mod")" || exit 1
	quiet go mod tidy -diff
	packages=$(go list ./... 2>/dev/null) || { echo "lint: go list in $mod" >&2 && bad=1; }
	[ -n "$packages" ] || continue
	say go vet ./...
	say tool staticcheck ./...
done
cd "$root" || exit 1

# Each of these architectures has files of its own, some of them in assembly. The nightly run
# has two with 32 bits as well. -trimpath lets the builds of the Makefile use what is compiled
# here.
for arch in ${ARCHS:-amd64 arm64}; do
	say env GOARCH="$arch" go vet -trimpath . ./cgroup ./internal/sys ./reaper ./shim/...
done

# shellcheck disable=SC2046,SC2086 # lists of words
{
	quiet tool gofumpt -l $(echo "$files" | grep '\.go$')
	say shellcheck -x $scripts
	quiet codespell --skip='*.sum,*/testdata/fuzz/*' --ignore-words-list=nd,atleast $files
}
for page in $(echo "$files" | grep -E '\.[1-8]$'); do
	quiet mandoc -Tlint -Wwarning "$page"
done
# NOTICE has the licences of what the binary links, as its go.mod names it.
# shellcheck disable=SC2317 # called by name
notices() { tools/notices/notices.sh | diff NOTICE -; }
quiet notices
# Actions must be pinned by digest, because the owner of an action can move its tags.
if grep -n 'uses:' .github/workflows/*.yml | grep -vE '@[0-9a-f]{40} # v[0-9]'; then
	echo "lint: pin these actions by digest, with the version in a comment" >&2
	bad=1
fi
say go -C tools test ./mutants ./pid1walk
# The optimized builds have their code in the pages that pin.go copies, up to two pages behind
# launch, where the wrapper of core is. A debug build has more functions, some of them elsewhere.
# On 32 bits the compiler clears and copies by two routines of the runtime, whose page is not
# copied (docs/survival.md).
walk() { say go -C tools run ./pid1walk -dir "$root" "$@"; }
narrow='-goarch 386,arm -pinned runtime.duffzero -pinned runtime.duffcopy'
wide='-goarch amd64,arm64,loong64,ppc64le,riscv64,s390x'
code='-pinned internal/sys.Call:shim/pid1.launch -pinned shim/pid1.core'
all='-pinned shim/pid1 -pinned reaper -pinned internal/sys'
# shellcheck disable=SC2086 # lists of words
{
	walk $wide -gcflags= $code
	walk $narrow -gcflags= $code
	walk $wide -gcflags="all=-N -l" $all
	walk $narrow -gcflags="all=-N -l" $all
}
exit $bad
