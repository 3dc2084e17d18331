# Sourced by the run_*.sh scripts: goes to the project's folder; `run_main ARGUMENTS` is tools/main.py, with the
# Python of .venv where there is one.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=.venv/bin/python
[ -x "$PYTHON" ] || PYTHON=python3

run_main() {
    PYTHONPATH=.${PYTHONPATH:+:$PYTHONPATH} "$PYTHON" tools/main.py "$@"
}
