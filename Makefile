# SPDX-License-Identifier: MIT
# The short way in. Meson does the work; each target first installs what a fresh Debian 12 lacks.
.PHONY: help build run test bench soak install clean

BUILD := build
JOBS := $(shell nproc)

BUILD_PACKAGES := gcc libc6-dev meson ninja-build pkg-config
TEST_PACKAGES := $(BUILD_PACKAGES) libcmocka-dev clang-14 libclang-rt-14-dev gcc-multilib binutils python3 perl git
BENCH_PACKAGES := $(BUILD_PACKAGES) linux-source-6.1 xz-utils

# The program that `make run` follows: a compiler at work on one of our own files.
RUN ?= gcc -O2 -Iinclude -Isrc -c src/mm/plan.c -o $(BUILD)/plan.o

# How long `make soak` takes.
MINUTES ?= 60

help:
	@echo 'make build   the library and the tool, build/quire'
	@echo 'make run     follow a compiler run and compare every answer with Linux (RUN="command" for another)'
	@echo 'make test    the whole suite'
	@echo 'make bench   the benchmarks'
	@echo 'make soak    the long campaign: MINUTES=60'
	@echo 'make install PREFIX=/usr/local'

$(BUILD)/build.ninja:
	@scripts/need $(BUILD_PACKAGES)
	@meson setup $(BUILD) --buildtype=release -Dtests=false -Dbench=false >$(BUILD).log 2>&1 || \
		{ cat $(BUILD).log; rm -f $(BUILD).log; exit 1; }
	@rm -f $(BUILD).log

build: $(BUILD)/build.ninja
	@scripts/need $(BUILD_PACKAGES)
	@ninja -C $(BUILD) --quiet

run: build
	$(BUILD)/quire shadow -- $(RUN)

test:
	@scripts/need $(TEST_PACKAGES)
	@python3 tests/run.py

soak:
	@scripts/need $(TEST_PACKAGES)
	@python3 tests/run.py --soak --minutes $(MINUTES)

bench:
	@scripts/need $(BENCH_PACKAGES)
	@python3 bench/run.py

install: build
	@meson install -C $(BUILD)

clean:
	rm -rf build build-*
