#!/bin/sh
# Finds a Python 3.10-3.12 (or takes $PYTHON) and hands over to scripts/setup.py.
# A separate file because `make` must say in plain words what is missing when no Python fits.
set -eu
venv=${1:-.venv}
here=$(dirname "$0")

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
}

# A finished environment answers for itself: no search, and it is not rebuilt with another Python
# because the order of PATH has changed.
if [ -z "${PYTHON:-}" ] && [ -x "$venv/bin/python" ] && fits "$venv/bin/python"; then
    exec "$venv/bin/python" "$here/setup.py" "$venv"
fi

# 3.11 first: it is the version on which most of the testing is done.
for candidate in ${PYTHON:-python3.11 python3.12 python3.10 python3 python}; do
    if fits "$candidate"; then
        exec "$candidate" "$here/setup.py" "$venv"
    fi
done
echo "setup: no usable Python (tried: ${PYTHON:-python3.11 python3.12 python3.10 python3 python});" \
    "install Python 3.10, 3.11 or 3.12, or name one: make setup PYTHON=/path/to/python3.11" >&2
exit 4
