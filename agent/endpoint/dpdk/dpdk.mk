# Rings over DPDK ports, for mTCP's `io = dpdk`: loaded when it is asked for. Left out without DPDK's development files.
RING_DPDK      := $(BUILD)/libautocork-ring-dpdk.so
RING_DPDK_SRCS := $(wildcard agent/endpoint/dpdk/*.c)
RING_DPDK_OBJS := $(RING_DPDK_SRCS:%.c=$(BUILD)/%.o) $(BUILD)/agent/fastpath/af_xdp.o

ifeq ($(HAVE_LWIP)$(shell $(PKG) --exists libdpdk && echo yes),yesyes)
all: $(RING_DPDK)

$(RING_DPDK_OBJS): override CFLAGS += -fPIC -fvisibility=hidden $(patsubst -I%,-isystem%,$(shell $(PKG) --cflags libdpdk))
# Drivers are plugins that the EAL loads at start.
$(RING_DPDK): $(RING_DPDK_OBJS)
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-z,now,-z,relro,--no-undefined $^ -Wl,--as-needed \
		$(shell $(PKG) --libs libdpdk) -lpthread -o $@
endif
