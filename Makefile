# Two commands do everything: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
SCENARIO ?= scenarios/gate/psp-lost-answers.yaml

.PHONY: run test zoo programs-test guide docker-test lint bench rehearsal-soak clean

run: .venv/.installed
	$(BIN)/payresil run $(SCENARIO)

test: .venv/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Flawed services must be caught, and the flawless one must pass: real runs, about 14 minutes.
zoo: .venv/.installed-dev
	$(BIN)/python -m tests.zoo

# What needs programs besides Python: Node 20 and Prometheus, on PATH.
programs-test: .venv/.installed-dev
	$(BIN)/python -m pytest -m "node or prometheus"

# The commands of docs/your-own-service.md, one after another; needs Node 20.
guide: .venv/.installed-dev
	$(BIN)/python -m pytest -m guide tests/docs

# Needs a Docker engine, docker-compose, debootstrap and Prometheus; builds the image where it can.
# What judges real traffic runs by itself: beside others, a slow machine shows what the others do.
docker-test: DOCKER_TEST = PAYRESIL_IMAGE=$${PAYRESIL_IMAGE:-payresil:local} $(BIN)/python -m pytest \
	tests/contracts tests/backends/docker tests/docker
docker-test: .venv/.installed-dev
	containers/build.sh
	containers/prometheus-image.sh
	$(DOCKER_TEST) -n 2 --dist loadfile -m "docker and not alone"
	$(DOCKER_TEST) -m "docker and alone"

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks

# Forty regions are lost at random moments; what is reported lost must be what was. Half an hour.
rehearsal-soak: .venv/.installed-dev
	$(BIN)/python -m benchmarks.region_loss --keep docs/region-loss.md

.venv/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "payresil needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist
