# One target per job; `make help` lists them.
PYTHON ?= python3
TORCH ?= torch==2.13.0
# what `make abi` installs beside the wheel: without a version, the newest
CUDA_TORCH ?= torch
# those of `make torches`: the oldest that is supported and the newest
TORCHES ?= torch==2.11.0 torch
LATENTCORE_CUDA ?= auto
export LATENTCORE_CUDA

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
# what a build needs beside torch
TOOLS := cmake ninja pybind11>=3.0 scikit-build-core>=0.11
NATIVE := CMakeLists.txt pyproject.toml $(shell find csrc cmake -type f)
WERROR := --config-settings=cmake.define.LATENTCORE_WERROR=ON
# counts what is allocated; see benchmarks/memory.py
ALLOCATIONS := build/allocations.so
BENCH_RESULT := benchmarks/results/0.1.0/operators--cpu.json
# -m '': the markers that pyproject.toml leaves out are those of tests, unknown here
PYTEST_BENCH := LD_PRELOAD="$(CURDIR)/$(ALLOCATIONS)" $(BIN)/python -m pytest benchmarks -n 0 --timeout 0 \
	-o faulthandler_timeout=0 -o python_files='bench_*.py' -m '' -W default -q --benchmark-enable --benchmark-quiet
# as on a processor without AVX-512; tests/test_processors.py has the same
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 LATENTCORE_SIMD=avx2
CXX_FILES = $(shell find benchmarks csrc tests -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')

.PHONY: help demo test test-avx2 test-long lint format quality bench bench-compare fuzz asan wheel abi torches cuda-host \
	cuda-check cuda-matrix clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/installed  ## install, then train, cluster and rotate embedded digits
	$(BIN)/latentcore demo

test: $(VENV)/installed $(VENV)/test cuda-host  ## install, then run the tests
	$(BIN)/python -m pytest

test-avx2: $(VENV)/installed $(VENV)/test cuda-host  ## the same tests as a processor without AVX-512 runs them
	$(AVX2) $(BIN)/python -m pytest

test-long: $(VENV)/installed $(VENV)/test $(VENV)/wheel cuda-host  ## what takes longer: all tutorials, networks on other processors, several processes, a wheel (without CUDA) in a new environment
	$(BIN)/python -m pytest -m long
	BIN=$(BIN) TORCH="$(TORCH)" LATENTCORE_CUDA=off cmake/wheel.sh

cuda-host: $(VENV)/tools  ## build the CUDA kernels for this processor, as the tests run them
	BIN=$(BIN) cmake/cuda_host.sh build/cuda-host

lint: $(VENV)/installed $(VENV)/test $(VENV)/lint  ## ruff, mypy --strict, import-linter, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

format: $(VENV)/lint  ## put Python and C++ files in their format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CXX_FILES)

quality: $(VENV)/installed $(VENV)/test  ## the figures of the systems on full MNIST (LATENTCORE_DATA), seed 0
	$(BIN)/python -m benchmarks.quality digits148 --json build/digits148.json
	$(BIN)/python -m benchmarks.quality latent-rotation --json build/latent-rotation.json
	$(BIN)/python -m benchmarks.quality egamma --json build/egamma.json
	$(BIN)/python -m benchmarks.quality autoencoders --json build/autoencoders.json
	$(BIN)/python -m benchmarks.quality generative --json build/generative.json

bench: $(VENV)/installed $(VENV)/test $(VENV)/bench $(ALLOCATIONS)  ## time and memory of the operators and their peers
	$(PYTEST_BENCH) --benchmark-json=$(BENCH_RESULT)

bench-compare: $(VENV)/installed $(VENV)/test $(VENV)/bench $(ALLOCATIONS)  ## time again, name every ratio that fell by more than 15 %
	$(PYTEST_BENCH) --benchmark-json=build/operators--cpu.json
	$(BIN)/python -m benchmarks.compare $(BENCH_RESULT) build/operators--cpu.json

fuzz: $(VENV)/installed $(VENV)/test cuda-host  ## 2,000 damaged files of every format, 10,000 examples of every property test
	$(BIN)/python -m pytest -o faulthandler_timeout=0 -m fuzz
	LATENTCORE_EXAMPLES=10000 $(BIN)/python -m pytest --timeout 0 -o faulthandler_timeout=0 -m hypothesis

asan: $(VENV)/tools $(VENV)/test  ## the operators' tests under AddressSanitizer and UndefinedBehaviorSanitizer
	BIN=$(BIN) cmake/asan.sh

wheel: $(VENV)/tools $(VENV)/wheel  ## build and repair a wheel, test its operators and mixtures in a new environment without extras
	BIN=$(BIN) TORCH="$(TORCH)" LATENTCORE_CUDA=$(subst auto,on,$(LATENTCORE_CUDA)) cmake/wheel.sh

abi: $(VENV)/tools $(VENV)/wheel  ## one wheel under this torch and under the newest CUDA build of it (several GB)
	BIN=$(BIN) TORCH="$(TORCH)" CUDA_TORCH="$(CUDA_TORCH)" LATENTCORE_CUDA=on cmake/abi.sh

torches:  ## build, test the operators and train beside the oldest supported torch and the newest (TORCHES; several GB)
	PYTHON=$(PYTHON) TOOLS="$(TOOLS)" LATENTCORE_CUDA=$(subst auto,off,$(LATENTCORE_CUDA)) cmake/torches.sh $(TORCHES:%="%")

cuda-check: $(VENV)/tools  ## compile and link the CUDA library for sm_90, compare its kernels' resources
	BIN=$(BIN) cmake/cuda_check.sh check

cuda-matrix: $(VENV)/tools  ## compile for every architecture, write docs/cuda-resources.md
	BIN=$(BIN) cmake/cuda_check.sh matrix

$(ALLOCATIONS): benchmarks/allocations.cpp
	$(CXX) -O2 -Wall -Wextra -Werror -shared -fPIC -o $@ $<

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build dist

# The stamps below are touched last, so that an interrupted step is done again. What TORCH and LATENTCORE_CUDA say is
# kept in a file that changes with them, so that another torch or another choice is installed where they change.
CHOICE := $(TORCH) LATENTCORE_CUDA=$(LATENTCORE_CUDA)
$(shell mkdir -p build && echo "$(CHOICE)" | cmp -s - build/choice || echo "$(CHOICE)" > build/choice)
# An editable install knows every module by its file, so that it is made anew where one has come, gone or moved.
MODULES := $(sort $(shell find python -name '*.py'))
$(shell echo "$(MODULES)" | cmp -s - build/modules || echo "$(MODULES)" > build/modules)

$(VENV)/tools: pyproject.toml build/choice
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install "$(TORCH)"
	$(PIP) install $(TOOLS:%="%")
	touch $@

$(VENV)/installed: $(VENV)/tools $(NATIVE) build/modules
	$(PIP) install --no-build-isolation $(WERROR) --editable '.[all]'
	touch $@

$(VENV)/test $(VENV)/lint $(VENV)/wheel $(VENV)/bench: $(VENV)/%: $(VENV)/tools pyproject.toml
	$(PIP) install $$($(BIN)/python cmake/extra.py $*)
	touch $@
