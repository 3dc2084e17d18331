# Sourced by the scripts beside it: `make_environment EXTRAS` makes .venv and installs the project into it.

make_environment() {
    local extras=$1 stamp=.venv/installed-$1 python
    if [ ! -x .venv/bin/python ]; then
        # TensorFlow has wheels for these versions.
        for python in python3.13 python3.12 python3.11 python3; do
            "$python" -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && break
            python=
        done
        if [ -z "$python" ]; then
            echo "Python 3.11, 3.12 or 3.13 is needed; 'python3 --version' says: $(python3 --version 2>&1)" >&2
            return 2
        fi
        echo "Making .venv with $("$python" --version)"
        if ! "$python" -m venv .venv; then
            rm -rf .venv
            echo "could not make .venv; on Debian and Ubuntu: apt-get install python3-venv" >&2
            return 2
        fi
    fi
    if [ ! "$stamp" -nt setup.cfg ]; then
        echo "Installing ascendvsr[$extras] into .venv (about 250 MB the first time)"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$extras]" || return 1
        touch "$stamp"
    fi
}
