# SPDX-License-Identifier: Apache-2.0
# gatherfs. `make help` lists the targets. Your CFLAGS and LDFLAGS come last; B=build/asan (or any folder) makes a parallel tree.

VERSION := 0.1.0
B       ?= build
PREFIX  ?= /usr/local
CC      ?= cc
PKG     := fuse3 libcjson libxxhash zlib

WARN     := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wconversion
CPPFLAGS := -I. -I$(B) -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=312 -DGATHERFS_VERSION='"$(VERSION)"'
CFLAGS   ?= -O2 -g
BASE     := -std=gnu11 -pthread $(WARN)
PKGFLAGS  = $(shell pkg-config --cflags $(PKG))
LIBS      = $(shell pkg-config --libs $(PKG)) -lprotobuf-nanopb -lm
COMPILE   = $(CC) $(BASE) $(CPPFLAGS) $(PKGFLAGS) $(CFLAGS) -MMD -MP

RECIPES := $(sort $(wildcard layout/recipes/*.recipe))
PROTO  := $(patsubst %.proto,$(B)/%.pb.c,$(wildcard layout/*/*.proto))
LAYOUT := $(patsubst %.c,$(B)/%.o,$(wildcard layout/*/*.c)) $(PROTO:.c=.o) $(B)/layout/recipes.o
FS     := $(patsubst %.c,$(B)/%.o,$(wildcard fs/*/*.c))
UNIT   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))
DRIVER := $(B)/tests/prop_driver
BENCH  := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bench/*.c))
FAULTS := $(B)/tests/faultfs
CALLS  := $(addprefix $(B)/tests/,folders readonly readside)
FUZZ   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/fuzz/fuzz_*.c))

.PHONY: all programs unit check test demo asan tsan soak bench check-layers fuzz fuzzers lint flags install uninstall clean packages help setup setup-clients debian fuse
.SECONDARY:
.DELETE_ON_ERROR:

##@ Building
all: $(B)/gatherfs ## build/gatherfs (the default)

programs: all $(UNIT) $(DRIVER) $(FAULTS) $(CALLS) $(FUZZ)

$(B)/gatherfs: $(B)/fs/main.o $(B)/libfs.a $(B)/liblayout.a
	$(CC) -pthread -o $@ $^ $(LIBS) $(CFLAGS) $(LDFLAGS)

$(B)/liblayout.a: $(LAYOUT)
	rm -f $@ && ar rcs $@ $^

$(B)/libfs.a: $(FS)
	rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c | $(PROTO)
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(B)/layout/%.pb.o: $(B)/layout/%.pb.c
	$(COMPILE) -w -c -o $@ $<

$(B)/layout/%.pb.c: layout/%.proto $(wildcard layout/*/*.options)
	@mkdir -p $(@D)
	protoc --nanopb_out=$(B) -I. $<

$(B)/layout/recipes.o: $(B)/layout/recipes.c
	$(COMPILE) -c -o $@ $<

$(B)/layout/recipes.c: $(RECIPES)
	@mkdir -p $(@D)
	@{ echo '#include "layout/names/recipes.h"'; echo 'const struct recipes_text recipes_all[] = {'; \
	for f in $^; do echo "{ \"$$f\","; sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $$f; echo '},'; done; echo '{ 0, 0 } };'; } >$@

$(DRIVER): tests/prop_driver.c $(B)/liblayout.a
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< $(B)/liblayout.a $(LIBS) $(LDFLAGS)

$(FAULTS): tests/faultfs.c
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< $(LIBS) $(LDFLAGS)

$(CALLS): $(B)/%: %.c
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< $(LDFLAGS)

$(B)/tests/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< $(LIBS) $(LDFLAGS)

$(FUZZ): %: %.o $(B)/tests/fuzz/replay.o $(B)/libfs.a $(B)/liblayout.a
	$(CC) -pthread -o $@ $(if $(FUZZER),$(filter-out %/replay.o,$^),$^) $(LIBS) $(CFLAGS) $(FUZZER) $(LDFLAGS)

$(B)/tests/%: tests/%.c $(B)/libfs.a $(B)/liblayout.a
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< $(B)/libfs.a $(B)/liblayout.a -lcriterion $(LIBS) $(LDFLAGS)

##@ Testing (all but unit and check-layers install what is missing first)
ASAN_B      := build/asan
ASAN_CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
TSAN_B      := build/tsan
SUB          = $(MAKE) --no-print-directory -s -j$(shell nproc)
RUN         := .venv/check/bin/python tests/run.py --build

check: setup ## what to run at every commit: modules, layers, a part of the property test, the oracle, most mounts; under two minutes
	@$(SUB) programs
	@LAYOUTS=$${LAYOUTS:-10000} $(RUN) $(B) layers unit fuzz property oracle mount

test: setup setup-clients ## everything: check, the same under sanitizers, and the real clients
	@$(SUB) programs
	@$(SUB) programs B=$(ASAN_B) CFLAGS="$(ASAN_CFLAGS)"
	@$(SUB) all $(TSAN_B)/tests/faultfs B=$(TSAN_B) CFLAGS="-O1 -g -fsanitize=thread"
	@$(RUN) $(B) layers lint unit fuzz property oracle mount mount-long soak clients --asan $(ASAN_B) --tsan $(TSAN_B)

asan: setup ## the suite (without the clients) under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(SUB) programs B=$(ASAN_B) CFLAGS="$(ASAN_CFLAGS)"
	@$(RUN) $(B) --asan $(ASAN_B)

tsan: setup ## the mount tests in which threads meet, and a soak, with the daemon under ThreadSanitizer
	@$(SUB) all $(TSAN_B)/tests/faultfs B=$(TSAN_B) CFLAGS="-O1 -g -fsanitize=thread"
	@$(RUN) $(B) --tsan $(TSAN_B)

SOAK_SECONDS ?= 600
soak: setup ## 32 processes read, compare and are killed while sources and daemons are too: SOAK_SECONDS=600, SOAK_B=build/tsan after make tsan
	@$(if $(SOAK_B),,$(SUB) all)
	@SOAK_SECONDS=$(SOAK_SECONDS) $(RUN) $(or $(SOAK_B),$(B)) soak -v

demo: setup ## mount the small real checkpoint of tests/, load it with safetensors, and show that the values are right
	@$(SUB) all
	@tests/demo.sh $(B)/gatherfs

FUZZ_SECONDS ?= 60
FUZZ_FLAGS   := CC=clang CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" FUZZER=-fsanitize=fuzzer
fuzz: DEBIAN += clang libclang-rt-14-dev
fuzz: debian ## new inputs for the parsers, by clang's libFuzzer: FUZZ_SECONDS=60 for each; what it finds is in build/fuzz
	@$(SUB) B=build/fuzz $(FUZZ_FLAGS) fuzzers
	@for t in $(notdir $(FUZZ)); do mkdir -p build/fuzz/$$t && build/fuzz/tests/fuzz/$$t -max_total_time=$(FUZZ_SECONDS) -timeout=10 -verbosity=0 -print_final_stats=1 \
	-artifact_prefix=build/fuzz/$$t- build/fuzz/$$t tests/fuzz/corpus/$${t#fuzz_} || exit 1; done

fuzzers: $(FUZZ)

bench: setup setup-clients ## speed and memory, as ratios to an empty FUSE file and to a plain one
	@$(SUB) all $(BENCH) $(FAULTS)
	@.venv/check/bin/python tests/bench/run.py --build $(B)

unit: $(UNIT) ## only the module tests, as they are
	@for t in $(UNIT); do $$t || exit 1; done

check-layers: $(B)/liblayout.a ## layout/ makes no system call, its symbols are named after their files, and folders stand on one another
	@tests/layers.sh $(B)

lint: DEBIAN += cppcheck clang-tidy
lint: debian .venv/check/ready $(PROTO) ## the source read by gcc's analyzer, cppcheck and clang-tidy
	@$(RUN) $(B) lint

flags: ; @echo '$(BASE) $(filter-out -DGATHERFS_VERSION%,$(CPPFLAGS)) -DGATHERFS_VERSION="" $(PKGFLAGS)'

##@ Installing
# FILE:PLACE. Paths in them follow PREFIX. mount(8) looks for its helpers in /sbin, whatever PREFIX is.
SBINDIR    ?= /sbin
DOC        := $(PREFIX)/share/doc/gatherfs
EXAMPLES   := fstab.example gatherfs.conf srv-model.mount srv-model.automount
TEXTS      := mount-helpers/gatherfs.1:$(PREFIX)/share/man/man1/gatherfs.1 mount-helpers/mount.gatherfs.8:$(PREFIX)/share/man/man8/mount.gatherfs.8 \
              mount-helpers/gatherfs@.service:$(PREFIX)/lib/systemd/system/gatherfs@.service README.md:$(DOC)/README.md LICENSE:$(DOC)/copyright \
              $(B)/completion.bash:$(PREFIX)/share/bash-completion/completions/gatherfs $(foreach e,$(EXAMPLES),mount-helpers/$(e):$(DOC)/examples/$(e)) \
              $(foreach r,$(RECIPES),$(r):$(PREFIX)/share/gatherfs/recipes/$(notdir $(r)))
LINKS      := $(SBINDIR)/mount.gatherfs $(SBINDIR)/mount.fuse.gatherfs

$(B)/completion.bash: mount-helpers/completion.sh $(B)/gatherfs
	sh $^ >$@

install: all $(B)/completion.bash ## DESTDIR= PREFIX=/usr/local; mount.gatherfs goes where mount(8) looks for it
	install -D -m 755 $(B)/gatherfs $(DESTDIR)$(PREFIX)/bin/gatherfs
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)/etc/gatherfs
	for link in $(LINKS); do ln -sf $(PREFIX)/bin/gatherfs $(DESTDIR)$$link || exit 1; done
	for t in $(TEXTS); do sed 's,/usr/\(bin\|share\)/,$(PREFIX)/\1/,g' "$${t%%:*}" >$(B)/text && \
	install -D -m 644 $(B)/text "$(DESTDIR)$${t#*:}" || exit 1; done

uninstall: ## removes what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/gatherfs $(LINKS:%=$(DESTDIR)%) $(foreach t,$(TEXTS),$(DESTDIR)$(lastword $(subst :, ,$(t))))
	for dir in $(DOC)/examples $(DOC) $(PREFIX)/share/gatherfs/recipes $(PREFIX)/share/gatherfs /etc/gatherfs; do [ ! -d $(DESTDIR)$$dir ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$$dir; done

##@ Other
clean: ## removes what was built; .venv stays
	rm -rf $(B)

packages: ## the Debian packages that building and check take, by name; elsewhere, install what they hold
	@echo $(DEBIAN)

help: ## this list
	@awk 'BEGIN { FS = ": .*## " } /^##@/ { print "\n" substr($$0, 5) } /^[a-z-]+:.* ## / { sub(/:.*/, "", $$1); printf "  %-14s%s\n", $$1, $$2 }' Makefile

# Setting up. Nothing is run as root, and nothing is fetched, when nothing is missing.
DEBIAN := build-essential pkg-config fuse3 libfuse3-dev libcjson-dev libxxhash-dev nanopb libnanopb-dev protobuf-compiler \
          libcriterion-dev zlib1g-dev python3 python3-venv mandoc man-db shellcheck systemd rsync attr xxhash strace
SUDO   := $(if $(filter 0,$(shell id -u)),,sudo)

setup: fuse debian .venv/check/ready ## install what check needs: Debian packages, and Python's into .venv
setup-clients: debian .venv/clients/ready .venv/torch/ready ## likewise for the real clients: MindSpore, transformers, torch
test setup-clients: DEBIAN += python3-torch
test: DEBIAN += cppcheck clang-tidy

fuse:
	@[ -c /dev/fuse ] && (exec 3<>/dev/fuse) 2>/dev/null || { echo "gatherfs: /dev/fuse is missing or may not be opened here, and every mount needs it" >&2; exit 1; }

debian:
	@missing=; for p in $(DEBIAN); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || { mkdir -p build && echo "installing$$missing" && \
	{ $(SUDO) apt-get update -qq && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } >build/apt.log 2>&1 || \
	{ echo "gatherfs: could not install the Debian packages$$missing (no network? the log is build/apt.log)" >&2; exit 1; }; }

VENV := python3 -m venv
.venv/torch/ready: VENV := /usr/bin/python3 -m venv --system-site-packages
.venv/%/ready: tests/requirements-%.txt | debian
	@echo "setting up $(@D)"; $(VENV) --clear $(@D)
	@for try in 1 2; do $(@D)/bin/pip install -q --no-deps --disable-pip-version-check -r $< >$(@D)/pip.log 2>&1 && exec touch $@; done; \
	echo "gatherfs: could not install the Python packages of $< (no network? the log is $(@D)/pip.log)" >&2; exit 1

-include $(LAYOUT:.o=.d) $(FS:.o=.d) $(B)/fs/main.d $(UNIT:=.d) $(DRIVER).d $(FAULTS).d $(CALLS:=.d) $(BENCH:=.d) $(FUZZ:=.d) $(B)/tests/fuzz/replay.d
