# Sourced by the run_*.sh scripts: `run_main ARGUMENTS` is tools/main.py, with the Python of the project's .venv where
# there is one. Relative paths begin where the user stands; the project's own files are below $PROJECT.

PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=$PROJECT/.venv/bin/python
[ -x "$PYTHON" ] || PYTHON=python3
# The specifications alone: importing would take seconds.
if ! "$PYTHON" -c 'import sys, importlib.util as u; sys.exit(not all(map(u.find_spec, sys.argv[1:])))' yacs keras av; then
    echo "ascendvsr is not installed for $PYTHON: pip install -e '$PROJECT[cpu]', or '$PROJECT[gpu]' for NVIDIA GPUs" >&2
    exit 2
fi
export PYTHONPATH=$PROJECT${PYTHONPATH:+:$PYTHONPATH}

# `--config-file CONFIG` where that is set; else a checkpoint in a run's folder brings the run's own settings.
CONFIG_OPTION=()
[ -z "${CONFIG:-}" ] || CONFIG_OPTION=(--config-file "$CONFIG")

run_main() {
    "$PYTHON" "$PROJECT/tools/main.py" "$@"
}
