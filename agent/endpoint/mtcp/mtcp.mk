# libautocork-mtcp.so: mTCP's calls (mtcp_api.h) on copies of libautocork-endpoint.so, one for each context.
MTCP         := $(BUILD)/libautocork-mtcp.so
MTCP_SRCS    := $(wildcard agent/endpoint/mtcp/*.c)
MTCP_OBJS    := $(MTCP_SRCS:%.c=$(BUILD)/%.o)
MTCP_HEADERS := agent/endpoint/mtcp/mtcp_api.h agent/endpoint/mtcp/mtcp_epoll.h

$(MTCP_OBJS): override CFLAGS += -fPIC -fvisibility=hidden

ifeq ($(HAVE_LWIP),yes)
all: $(MTCP)

$(MTCP): $(MTCP_OBJS) | $(PRELOAD)
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-soname,$(@F) -Wl,-z,now,-z,relro,--no-undefined $^ \
		$(shell $(PKG) --libs inih) -lpthread -ldl -o $@
endif
