# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
# autocork: everything is built into build/. `make help` lists what there is.

PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   := build
CC      ?= gcc
CLANG   ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PKG     ?= pkg-config

# Debian packages, the one list: to build and run; for the fast path, which is left out without them; and what only the
# tests and benchmarks need. No service of them is started (packaging/install-packages).
DEPS := bpftool clang gcc libbpf-dev libc6-dev libcap-ng-dev libelf-dev libinih-dev libjansson-dev \
	libmicrohttpd-dev libncurses-dev libseccomp-dev libsystemd-dev make patch pkg-config uthash-dev xz-utils
FASTPATH_DEPS := dpdk-dev libdpdk-dev libxdp-dev
UNIT_DEPS := check git groff-base libclang-rt-dev libcmocka-dev mandoc openssl procps prometheus python3 python3-jsonschema
TEST_DEPS := $(UNIT_DEPS) busybox-static chromium clang-format debhelper dpdk-doc dpkg-dev ethtool gunicorn haproxy \
	iperf3 iproute2 lintian memcached nginx-light python3-kubernetes python3-prometheus-client qemu-system-x86 \
	redis-server redis-tools shellcheck strace tcpdump wrk

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
else
say = @:
endif

LIBS     := libbpf libelf libsystemd jansson inih libmicrohttpd ncursesw libcap-ng libseccomp
# A warning is an error for who changes the tree (WERROR=1) and in CI, not for who builds it with a compiler of tomorrow.
WERROR   ?= $(if $(CI),1,0)
WARNINGS := -Wall -Wextra -Wno-unused-parameter $(if $(filter 1,$(WERROR)),-Werror)
CFLAGS   ?= -O2 -g
# `override`: what the tree needs is added to what the command line says too.
override CPPFLAGS += -D_GNU_SOURCE -Iinclude -Iagent -I$(BUILD)
override CFLAGS   += -std=gnu11 $(WARNINGS) $(shell $(PKG) --cflags $(LIBS) 2>/dev/null)
override LDLIBS   += $(shell $(PKG) --libs $(LIBS) 2>/dev/null) -lm
BPF_CFLAGS := -O2 -g -target bpf -mcpu=v3 -Ivmlinux -Iinclude -Ibpf \
	-idirafter $(shell $(CC) -print-sysroot)/usr/include/$(shell $(CC) -print-multiarch) $(WARNINGS)

# agent/autocorkd.c and agent/autocork.c are the programs; every sub-folder's sources are one archive that both link.
# agent/fastpath/ is a third program, a DPDK process (agent/fastpath/fastpath.mk).
# agent/endpoint/ is the TCP stack of the endpoint, which runs in other programs (agent/endpoint/endpoint.mk).
PROGRAMS   := $(patsubst agent/%.c,$(BUILD)/%,$(wildcard agent/*.c))
AGENT_SRCS := $(filter-out agent/fastpath/% agent/endpoint/%,$(wildcard agent/*/*.c))
AGENT_OBJS := $(AGENT_SRCS:%.c=$(BUILD)/%.o)
BPF_SRCS   := $(wildcard bpf/*.bpf.c)
SKELETONS  := $(BPF_SRCS:bpf/%.bpf.c=$(BUILD)/bpf/%.skel.h)
WEB_FILES  := $(wildcard agent/telemetry/web/*.* third_party/uplot/*)
UNIT_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))
PROG_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/prog/test_*.c))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all help deps check-deps tests check unit lint clean
all: $(PROGRAMS) ## build everything into build/

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BUILD)/%.bpf.o: %.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF,$<)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

$(BUILD)/%.o: %.c | $(SKELETONS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c $< -o $@

# The web page's files become symbols (agent/telemetry/web.h).
$(BUILD)/agent/telemetry/web.o: $(WEB_FILES)
	@mkdir -p $(@D)
	$(call say,EMBED,$@)
	$(Q)$(LD) -r -b binary -z noexecstack $^ -o $@

$(BUILD)/agent.a: $(AGENT_OBJS) $(BUILD)/agent/telemetry/web.o
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcsP $@ $^

$(PROGRAMS): $(BUILD)/%: $(BUILD)/agent/%.o $(BUILD)/agent.a $(BUILD)/endpoint.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

# Objects first: what a test brings itself (a fake engine) is then not taken from the archive.
$(BUILD)/tests/%: $(BUILD)/tests/%.o $(BUILD)/agent.a $(BUILD)/endpoint.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $(filter %.o,$^) $(filter-out %.o,$^) $(LDLIBS) -lcmocka -o $@

deps: ## install what the build needs (root)
	@packaging/install-packages $(DEPS)

check-deps: ## install what the fast path, the tests and the benchmarks need too (root)
	@packaging/install-packages $(DEPS) $(FASTPATH_DEPS) $(TEST_DEPS)

unit: all $(UNIT_TESTS) ## run the unit tests only (no root)
	@tests/run unit

tests: ## build everything and the programs that the tests are, or use
	@$(MAKE) --no-print-directory all $(UNIT_TESTS) $(PROG_TESTS) $(NET_PROGRAMS)

check: check-deps ## install, build and run all tests (root)
	@$(MAKE) --no-print-directory tests
	@tests/run unit prog packaging net vm

LINT_DEPS := clang-format cppcheck mandoc shellcheck
lint: ## read the tree with shellcheck, mandoc, clang-format, cppcheck and clang's analyzer (minutes)
	@packaging/install-packages $(LINT_DEPS)
	@$(MAKE) --no-print-directory all
	@tests/lint

clean: ## remove build/
	rm -rf $(BUILD)

-include $(wildcard agent/fastpath/fastpath.mk agent/endpoint/endpoint.mk agent/endpoint/preload/preload.mk agent/endpoint/mtcp/mtcp.mk agent/endpoint/dpdk/dpdk.mk packaging/packaging.mk tests/*/*.mk)
-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
