#!/usr/bin/env bash
# Makes what a release has, into a folder: a tarball, the Debian package, the crates, an SBOM and checksums.
#
#   contrib/release.sh [--program PROGRAM] [OUT]
#
# OUT is target/dist by default. It is made, or is empty; only target/dist and what begins with that is replaced. --program takes a program that is built already, for a rehearsal. The same checkout, toolchain and
# program make the same bytes: times are SOURCE_DATE_EPOCH, by default that of the last commit. docs/releasing.md has the steps
# before and after.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd -P)

# What the caller names is named from where the caller stands.
program=
if [ "${1:-}" = --program ]; then
    [ $# -ge 2 ] || { echo "--program needs a PROGRAM" >&2; exit 2; }
    program=$(realpath -m -- "$2")
    shift 2
fi
out=$(realpath -m -- "${1:-$root/target/dist}")
cd "$root"

case "$out" in
"$root"/target/dist*) ;;
*)
    if [ -e "$out" ] && { [ ! -d "$out" ] || [ -n "$(ls -A -- "$out")" ]; }; then
        echo "$out is not an empty folder: name another, or empty it" >&2
        exit 1
    fi
    ;;
esac

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
target=$(rustc --print host-tuple)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export LC_ALL=C TZ=UTC

if [ -z "$program" ]; then
    # Paths of this machine are not in the program.
    export RUSTFLAGS="--remap-path-prefix=$PWD=. --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
    # Slower to build, smaller, and somewhat faster: docs/releasing.md has the figures.
    export CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1
    cargo build --release --locked --bin sluicegate
    program=target/release/sluicegate
fi
# Its man pages must be of this version.
[ "$("$program" --version)" = "sluicegate $version" ] || { echo "$program is not version $version" >&2; exit 1; }

rm -rf -- "$out"
mkdir -p -- "$out"

# What the tarball and the Debian package have besides the program.
rm -rf target/man target/completions
mkdir -p target/man target/completions
"$program" man target/man >/dev/null
"$program" completions bash >target/completions/sluicegate
"$program" completions zsh >target/completions/_sluicegate
"$program" completions fish >target/completions/sluicegate.fish

# The tarball: one folder, in order, of nobody, at one time.
name="sluicegate-$version-$target"
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022
mkdir -p "$tree/$name/bin" "$tree/$name/share"
install -m 755 "$program" "$tree/$name/bin/sluicegate"
mkdir -p "$tree/$name/share/man/man1" "$tree/$name/share/completions" "$tree/$name/share/doc" "$tree/$name/share/contrib"
install -m 644 target/man/*.1 "$tree/$name/share/man/man1/"
install -m 644 target/completions/* "$tree/$name/share/completions/"
install -m 644 docs/*.md docs/*.svg "$tree/$name/share/doc/"
for file in $(git ls-files contrib/systemd contrib/logrotate contrib/grafana contrib/prometheus); do
    install -D -m 644 "$file" "$tree/$name/share/$file"
done
"$program" config --example >"$tree/$name/share/sluicegate.toml"
"$program" config --schema >"$tree/$name/share/sluicegate.schema.json"
install -m 644 README.md CHANGELOG.md LICENSE-* "$tree/$name/"
tar --create --directory "$tree" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    --format=gnu "$name" | gzip --no-name --best >"$out/$name.tar.gz"

python3 contrib/sbom.py "$target" >"$out/$name.cdx.json"

# The crates, as the registry takes them.
if [ -z "$(git status --porcelain)" ]; then
    cargo package --quiet --locked --no-verify --workspace --exclude sluicegate-testkit --target-dir "$tree/package"
    cp "$tree"/package/package/*.crate "$out/"
else
    echo "there are changes that are not committed: no crates are made" >&2
fi

# The Debian package.
deb=cargo-deb
[ ! -x target/tools/bin/cargo-deb ] || deb=target/tools/bin/cargo-deb
if command -v "$deb" >/dev/null; then
    mkdir -p target/release
    [ "$program" -ef target/release/sluicegate ] || install -m 755 "$program" target/release/sluicegate
    "$deb" --no-build --quiet --fast --output "$out/"
else
    echo "cargo-deb is not installed: no Debian package is made" >&2
fi

(cd "$out" && sha256sum -- * >SHA256SUMS)
cat "$out/SHA256SUMS"
