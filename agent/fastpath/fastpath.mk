# autocork-fastpath, the DPDK process. Without DPDK's development files only its pure parts are built, for the tests.
FASTPATH_PURE := $(addprefix $(BUILD)/agent/fastpath/,packet.o segment.o mss.o repeats.o coalesce.o echoes.o reflect.o fastpath_options.o)
FASTPATH_DPDK := $(addprefix $(BUILD)/agent/fastpath/,main.o af_xdp.o claim.o diagnose.o ports.o worker.o sleeper.o)

$(BUILD)/fastpath.a: $(FASTPATH_PURE)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

FASTPATH_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_coalesce*.c tests/unit/test_fastpath*.c))
$(FASTPATH_TESTS): $(BUILD)/fastpath.a
# Once more: fastpath.a comes after agent.a and uses it.
$(FASTPATH_TESTS): override LDLIBS := $(BUILD)/agent.a $(LDLIBS)

FASTPATH_LIBS := libdpdk libxdp
ifeq ($(shell $(PKG) --exists $(FASTPATH_LIBS) && echo yes),yes)
all: $(BUILD)/autocork-fastpath

$(FASTPATH_DPDK): override CFLAGS += $(patsubst -I%,-isystem%,$(shell $(PKG) --cflags libdpdk))
# --as-needed keeps what is used: the EAL, ethdev, mbuf, mempool. Drivers are plugins that the EAL loads at start.
$(BUILD)/autocork-fastpath: $(FASTPATH_DPDK) $(BUILD)/fastpath.a $(BUILD)/agent.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $^ -Wl,--as-needed $(shell $(PKG) --libs $(FASTPATH_LIBS)) $(LDLIBS) -o $@
else
all: fastpath-left-out
.PHONY: fastpath-left-out
fastpath-left-out:
	@echo "  autocork-fastpath is left out: it needs $(FASTPATH_DEPS)" \
		"(packaging/install-packages installs them)"
endif
