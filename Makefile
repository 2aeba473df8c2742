# SPDX-License-Identifier: Apache-2.0
# gatherfs. `make help` lists the targets. B=build/asan (or any folder) makes a parallel tree.

VERSION := 0.1.0
B       ?= build
PREFIX  ?= /usr/local
CC      ?= cc
PKG     := fuse3 libcjson libxxhash

WARN     := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wconversion
CPPFLAGS := -I. -I$(B) -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=312 -DGATHERFS_VERSION='"$(VERSION)"'
CFLAGS   ?= -O2 -g
BASE     := -std=gnu11 -pthread $(WARN)
PKGFLAGS  = $(shell pkg-config --cflags $(PKG))
LIBS      = $(shell pkg-config --libs $(PKG)) -lprotobuf-nanopb
COMPILE   = $(CC) $(BASE) $(CPPFLAGS) $(PKGFLAGS) $(CFLAGS) -MMD -MP

PROTO  := $(patsubst %.proto,$(B)/%.pb.c,$(wildcard layout/*.proto))
LAYOUT := $(patsubst %.c,$(B)/%.o,$(wildcard layout/*.c)) $(PROTO:.c=.o)
FS     := $(patsubst %.c,$(B)/%.o,$(wildcard fs/*.c))
UNIT   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/test_*.c))

.PHONY: all unit clean
.SECONDARY:
.DELETE_ON_ERROR:

all: $(B)/gatherfs

$(B)/gatherfs: $(FS) $(B)/liblayout.a
	$(CC) $(CFLAGS) -pthread -o $@ $^ $(LDFLAGS) $(LIBS)

$(B)/liblayout.a: $(LAYOUT)
	rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c | $(PROTO)
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

$(B)/layout/%.pb.o: $(B)/layout/%.pb.c
	$(COMPILE) -w -c -o $@ $<

$(B)/layout/%.pb.c: layout/%.proto $(wildcard layout/*.options)
	@mkdir -p $(@D)
	protoc --nanopb_out=$(B) -I. $<

$(B)/tests/%: tests/%.c $(B)/liblayout.a
	@mkdir -p $(@D)
	$(COMPILE) -o $@ $< $(B)/liblayout.a $(LDFLAGS) -lcriterion $(LIBS)

unit: $(UNIT)
	@for t in $(UNIT); do echo "$$t"; $$t || exit 1; done

clean:
	rm -rf $(B)

-include $(LAYOUT:.o=.d) $(FS:.o=.d) $(UNIT:=.d)
