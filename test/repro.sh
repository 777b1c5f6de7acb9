#!/bin/sh
# Builds the tree in two directories, the second with an empty build cache, and
# compares the binaries.
set -eu
cd "$(dirname "$0")/.."
commit=$(git rev-parse --short=12 HEAD 2>/dev/null || true)
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir" && rm -rf "$dir"' EXIT

for copy in one another/and-deeper; do
	mkdir -p "$dir/$copy"
	git ls-files --cached --others --exclude-standard | while read -r file; do
		[ ! -f "$file" ] || echo "$file"
	done | tar -cf - -T - | tar -xf - -C "$dir/$copy"
done
make -s -C "$dir/one" build COMMIT="$commit"
GOCACHE=$dir/cache make -s -C "$dir/another/and-deeper" build COMMIT="$commit"

sha256sum "$dir/one/bin/cgshim" "$dir/another/and-deeper/bin/cgshim"
cmp "$dir/one/bin/cgshim" "$dir/another/and-deeper/bin/cgshim"
