# SPDX-License-Identifier: MIT
# The short way in. Meson does the work; each target first installs what a fresh Debian 12 lacks.
.PHONY: help build run iso shadow test bench soak install clean

BUILD := build
JOBS := $(shell nproc)

BUILD_PACKAGES := gcc libc6-dev meson ninja-build pkg-config
KERNEL_PACKAGES := $(BUILD_PACKAGES) gcc-multilib python3 qemu-system-x86 busybox-static musl-tools
TEST_PACKAGES := $(KERNEL_PACKAGES) liblua5.4-dev libsqlite3-dev libcmocka-dev clang-14 libclang-rt-14-dev binutils perl git
BENCH_PACKAGES := $(BUILD_PACKAGES) gcc-multilib python3 qemu-system-x86 linux-source-6.1 xz-utils

# The kernel of `make run` (x86_64, pae, i386) and what it is given: memory, processors, and (instead of the shell) a
# static program with arguments.
MACHINE ?= x86_64
RAM ?= 512M
CPUS ?= 4
PROGRAM ?=
ARGS ?=

# The program that `make shadow` follows: a compiler at work on one of our own files.
RUN ?= gcc -O2 -Iinclude -Isrc -c src/mm/plan.c -o $(BUILD)/plan.o

# How long `make soak` takes.
MINUTES ?= 60

help:
	@echo 'make build   the library and the tool, build/quire'
	@echo 'make run     boot the reference kernel in QEMU, with a shell (MACHINE=x86_64 RAM=512M CPUS=4, PROGRAM=./static ARGS="...")'
	@echo 'make iso     the same on a disk that PCs boot from, build/quire.iso'
	@echo 'make shadow  follow a compiler run and compare every answer with Linux (RUN="command" for another)'
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

run:
	@scripts/need $(KERNEL_PACKAGES)
	@$(MAKE) --no-print-directory build
	@[ $(MACHINE) = x86_64 ] || scripts/busybox-i386 $(BUILD)/busybox-i386
	@kernel/run --memory $(RAM) --cpus $(CPUS) $(if $(filter-out x86_64,$(MACHINE)),--busybox $(BUILD)/busybox-i386) \
		$(BUILD)/kernel/kernel-$(MACHINE) $(PROGRAM) $(ARGS)

iso:
	@scripts/need $(KERNEL_PACKAGES) grub-pc-bin grub-common xorriso mtools
	@$(MAKE) --no-print-directory build
	@kernel/run --iso $(BUILD)/quire.iso $(BUILD)/kernel/kernel-x86_64
	@ls -l $(BUILD)/quire.iso

shadow: build
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
