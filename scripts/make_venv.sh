#!/bin/sh
# Creates a virtual environment with the first Python of version 3.11 or later in PATH that can.
set -eu
target=$1

python=
for candidate in python3.11 python3 python3.14 python3.13 python3.12; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "Creating $target with $("$candidate" --version)"
        rm -rf "$target"
        exec "$candidate" -m venv "$target"
    fi
    python=${python:-$candidate}
done

if [ -z "$python" ]; then
    echo "No Python 3.11 or later is in PATH. On Debian or Ubuntu: apt-get install python3 python3-venv" >&2
else
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    echo "$python cannot create virtual environments: a part of its standard library is missing." >&2
    echo "On Debian or Ubuntu: apt-get install $package" >&2
fi
exit 1
