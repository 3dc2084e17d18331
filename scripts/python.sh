# Sourced by the run_*.sh scripts: goes to the project's folder; `run_main ARGUMENTS` is tools/main.py, with the
# Python of .venv where there is one.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=.venv/bin/python
[ -x "$PYTHON" ] || PYTHON=python3

# `--config-file CONFIG` where that is set; else a checkpoint in a run's folder brings the run's own settings.
CONFIG_OPTION=()
[ -z "${CONFIG:-}" ] || CONFIG_OPTION=(--config-file "$CONFIG")

run_main() {
    PYTHONPATH=.${PYTHONPATH:+:$PYTHONPATH} "$PYTHON" tools/main.py "$@"
}
