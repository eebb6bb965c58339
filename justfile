# Short names for what is done often. Every target runs in the active environment, or in .venv when there is one.

export PATH := justfile_directory() / ".venv/bin" + ":" + env("PATH")

# A virtual environment with everything
setup:
    python3 -m venv .venv
    .venv/bin/pip install -e ".[dev]"

# All tests, or those named
test *ARGS:
    pytest {{ ARGS }}

# Style, types and import contracts
lint:
    ruff check
    ruff format --check
    mypy
    lint-imports

# Write the code as ruff would
format:
    ruff check --fix
    ruff format

# The exact versions that the tests run with, into requirements-dev.lock
lock:
    rm -rf .venv-lock
    python3 -m venv .venv-lock
    .venv-lock/bin/pip install -e ".[dev]"
    echo "# Made by 'just lock': pip install -r requirements-dev.lock, then pip install --no-deps -e ." >requirements-dev.lock
    .venv-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$//' >>requirements-dev.lock
    rm -r .venv-lock

# The command line's help into docs/command-line.md, and the site from docs/ into build/site
docs:
    python docs/make_command_line.py
    sphinx-build -W --keep-going -q docs build/site

# The example clips (needs espeak-ng)
clips:
    python examples/make_clips.py

# Timings, one table each
bench:
    for script in benchmarks/*.py; do python "$script"; done

# The bundled model and its figures, from RAVDESS and nEMO under VOCALICS_DATA: hours
model:
    vocalics benchmark vocalics --protocol speaker -o docs/results
    vocalics train vocalics --protocol all -o runs/bundled
    vocalics export runs/bundled --evaluation docs/results/vocalics/ravdess+nemo/speaker -o src/vocalics/models/vocalics.onnx
    python docs/make_figures.py

# What must be green before a change lands
ci:
    .ci/run
