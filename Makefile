# Two commands do everything: `make demo` and `make test`. Both need nothing but Python 3.11+,
# because they build the one environment .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)

# Without a GPU the CPU build of torch saves gigabytes.
ifeq ($(shell command -v nvidia-smi 2>/dev/null),)
TORCH_INDEX ?= --extra-index-url https://download.pytorch.org/whl/cpu
# The CUDA build brings Triton; here the tests interpret the GPU kernels (Linux has wheels of it).
ifeq ($(shell uname -s),Linux)
TRITON ?= triton==3.9.0
endif
endif
TORCH := $(shell sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)

.PHONY: setup demo test lint format clean help

help:
	@echo "make demo    the whole chain on a simulated universe, ending with a report"
	@echo "make test    all tests"
	@echo "make setup   only build the environment .venv"
	@echo "make lint    formatting, lint and spelling"
	@echo "make clean   remove what the demo computed"

setup: $(VENV)/installed

# torch first and alone, so that nothing pulls another build of it.
$(VENV)/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with make PYTHON=...")'
	@echo 'Installing PyTorch and the other packages into $(VENV): this takes minutes, once.'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --retries 1 --no-deps $(TORCH_INDEX) $(TORCH)
	$(BIN)/pip install --quiet --editable ".[test]" $(TRITON)
	@touch $@

demo: setup
	snakemake --profile profiles/demo --quiet rules host
	@echo
	@echo "The report: $(CURDIR)/results/demo/report/index.html"

test: setup
	pytest

lint: setup
	ruff check .
	ruff format --check .
	snakefmt --check workflow
	codespell README.md CHANGELOG.md config docs profiles workflow tests
	snakemake --lint --profile profiles/demo

format: setup
	ruff check --fix .
	ruff format .
	snakefmt workflow

clean:
	rm -rf results/demo resources/demo logs/demo benchmarks/demo
