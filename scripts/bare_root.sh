#!/bin/bash
# Proves that a fresh checkout works on a bare machine: a Debian root with Python and make, but no
# compiler, no ffmpeg, no display, and neither libGL nor libglib. Needs root and debootstrap.
#
#   scripts/bare_root.sh [--root DIR] [--suite NAME] [--bind PATH]... [--env NAME]... [COMMAND...]
#
# The committed state of this repository is cloned into the root; COMMAND runs there, by default
# `make test demo`. DIR is kept and used again (default: a new folder under /tmp). PATH is made
# visible at the same place inside (pip's settings, local wheels, certificates); NAME is an
# environment variable to hand on. Variables that begin with PIP_ are always handed on.
set -euo pipefail

repo=$(cd "$(dirname "$0")/.." && pwd)
root=''
suite=bookworm
binds=()
names=()
while [ $# -gt 0 ]; do
    case $1 in
        --root) root=$2; shift 2 ;;
        --suite) suite=$2; shift 2 ;;
        --bind) binds+=("$2"); shift 2 ;;
        --env) names+=("$2"); shift 2 ;;
        -h | --help) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) break ;;
    esac
done
[ $# -gt 0 ] || set -- make test demo
root=${root:-$(mktemp -d /tmp/talkcli-root.XXXXXX)}

if [ ! -x "$root/usr/bin/python3" ]; then
    echo "bare_root: installing $suite (python3, python3-venv, make) into $root"
    debootstrap --variant=minbase --include=python3,python3-venv,make,ca-certificates \
        "$suite" "$root" > "$root.log" 2>&1 || { tail -5 "$root.log" >&2; exit 1; }
fi
for unwanted in 'libGL.so*' 'libglib-2.0.so*' 'libgomp.so*' ffmpeg gcc cc; do
    found=$(find "$root/usr/bin" "$root/usr/lib" -name "$unwanted" -print -quit)
    [ -z "$found" ] || { echo "bare_root: $found is there; this root is not bare" >&2; exit 1; }
done

rm -rf "$root/src"
mkdir -p "$root/src"
git clone --quiet --no-hardlinks "$repo" "$root/src/talkcli"
echo "bare_root: commit $(git -C "$repo" rev-parse --short HEAD) cloned; running: $*"

keep=(HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)
while read -r name; do
    keep+=("$name=${!name}")
done < <(compgen -e | grep '^PIP_'; printf '%s\n' "${names[@]+"${names[@]}"}" | grep . || true)

# The mounts live in a namespace of their own and vanish with the command.
export root binds_list="${binds[*]+"${binds[*]}"} /etc/resolv.conf"
exec unshare --mount --propagation private bash -euc '
    mount -t proc proc "$root/proc"
    mkdir -p "$root/dev/shm"
    mount -t tmpfs tmpfs "$root/dev/shm"
    for path in $binds_list; do
        if [ -d "$path" ]; then mkdir -p "$root$path"; else
            mkdir -p "$(dirname "$root$path")"; [ -e "$root$path" ] || touch "$root$path"
        fi
        mount --bind "$path" "$root$path"
    done
    exec chroot "$root" /usr/bin/env -i "${@:2:$1}" /bin/sh -c "cd /src/talkcli && exec \"\$@\"" sh "${@:$1+2}"
' bash "${#keep[@]}" "${keep[@]}" "$@"
