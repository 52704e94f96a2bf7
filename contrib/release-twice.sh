#!/usr/bin/env bash
# Makes the release of the last commit twice, as two publishers would, and compares every file.
#
#   contrib/release-twice.sh [FOLDER]
#
# The two differ in what two people differ in: where the checkout and cargo's home are, time zone, umask, and the time of day. Two
# optimised builds take some minutes each, and 1.5 GB each in FOLDER (by default a temporary one, which is removed).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd -P)
if [ -n "${1:-}" ]; then
    work=$(realpath -m -- "$1")
    if [ -e "$work" ]; then
        echo "$work is there already: name a folder that is not" >&2
        exit 1
    fi
    mkdir -p -- "$work"
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
# A checkout that goes on meanwhile is not two.
commit=$(git -C "$root" rev-parse HEAD)
[ -z "$(git -C "$root" status --porcelain)" ] || echo "changes that are not committed are left out" >&2

# The Debian package is compared too, where there is what makes it.
PATH="$root/target/tools/bin:$PATH"
home=${CARGO_HOME:-$HOME/.cargo}
# Crates are downloaded once; the second build reads them by another path.
mkdir -p "$work/someone/else"
ln -s "$home" "$work/someone/else/cargo"

make() {
    local checkout=$1 seconds=$SECONDS
    git clone --quiet --no-hardlinks --no-checkout "$root" "$checkout"
    git -C "$checkout" -c advice.detachedHead=false checkout --quiet --detach "$commit"
    (cd "$checkout" && env -u CARGO_TARGET_DIR -u RUSTFLAGS contrib/release.sh >/dev/null)
    echo "made in $((SECONDS - seconds)) s: $(cd "$checkout/target/dist" && find . -type f | wc -l) files"
}

(umask 022 && TZ=Europe/Berlin make "$work/first")
(umask 077 && TZ=Asia/Tokyo CARGO_HOME="$work/someone/else/cargo" make "$work/someone/else/second-checkout")
diff --recursive "$work/first/target/dist" "$work/someone/else/second-checkout/target/dist"
cat "$work/first/target/dist/SHA256SUMS"
echo "both are the same"
