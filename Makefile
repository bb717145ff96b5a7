# make train   sets everything up and trains ant; make train ARGS="--env cartpole --num_steps 500_000" passes settings on
# make test    sets everything up and runs the checks and all tests but the long ones
# make test-slow   the tests that take long: every command of README and docs
# make setup   the set-up alone; does nothing when all is there

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ARGS ?=
# The CUDA build of JAX that the NVIDIA driver can run, where one answers: CUDA 13 needs driver 580 or newer.
# JAX_EXTRA=cuda13, =cuda12 or =cpu chooses by hand.
DRIVER = $(shell nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | sed -n '1s/^\([0-9][0-9]*\)[.].*/\1/p')
JAX_EXTRA ?= $(shell driver="$(DRIVER)"; \
  if [ -z "$$driver" ]; then echo cpu; elif [ "$$driver" -ge 580 2>/dev/null ]; then echo cuda13; else echo cuda12; fi)

.PHONY: setup train test test-slow clean

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12), (3, 13)))' || \
	  { echo "error: Python 3.11, 3.12 or 3.13 is needed: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "installing about 2 GB into $(VENV): a minute or a few"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
ifneq ($(JAX_EXTRA),cpu)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock "jax[$(JAX_EXTRA)]"
endif
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

train: setup
	@$(if $(ARGS),,echo "ant, 28 million env steps: 20 to 60 minutes on two CPU cores; Ctrl-C stops it and saves")
	$(BIN)/python -m train.main $(if $(filter --env --env=% --resume --resume=%,$(ARGS)),,--env ant) $(ARGS)

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-slow: setup
	$(BIN)/python -m pytest -n 2 --dist loadscope -m slow $(ARGS)

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
