# The endpoint's TCP engine. lwIP comes from Debian's source package, checked twice: by the archive's key (apt) and by the
# digest here. Without it (offline, at the first build) everything else is built.
LWIP_VERSION := 2.1.3+dfsg1-2
LWIP_ORIG    := lwip_2.1.3+dfsg1.orig.tar.xz
LWIP_SHA256  := 0a8276d09fc4e97bbba2f953d74af2388fc2195ea156be9d7589e297a68fde24
LWIP         := $(BUILD)/lwip
LWIP_PATCHES := $(sort $(wildcard third_party/lwip/*.patch))
LWIP_SRCS    := core/def.c core/mem.c core/memp.c core/pbuf.c core/tcp.c core/tcp_in.c core/tcp_out.c \
	core/ipv4/ip4_addr.c core/ipv6/ip6_addr.c
LWIP_OBJS    := $(LWIP_SRCS:%.c=$(LWIP)/obj/%.o)

# -Wno-address: lwIP's macros take the addresses of their arguments and compare them with NULL.
ENGINE_CFLAGS := -fPIC -fvisibility=hidden -isystem third_party/lwip -isystem $(LWIP)/src/include -Wno-address
ENGINE_SRCS   := $(wildcard agent/endpoint/*.c)
ENGINE_LWIP   := $(shell grep -l '"endpoint/tcp_inside.h"' $(ENGINE_SRCS))
ENGINE_OBJS   := $(ENGINE_SRCS:%.c=$(BUILD)/%.o)
# What needs no lwIP: the broker's half and the rings.
ENDPOINT_PURE := $(filter-out $(ENGINE_LWIP),$(ENGINE_SRCS))
$(ENGINE_OBJS): CFLAGS += $(ENGINE_CFLAGS)
$(ENGINE_LWIP:%.c=$(BUILD)/%.o): $(LWIP)/patched

$(LWIP)/$(LWIP_ORIG): | agent/endpoint/lwip-fetch
	@mkdir -p $(@D)
	$(call say,FETCH,$(LWIP_ORIG))
	$(Q)agent/endpoint/lwip-fetch $(LWIP_VERSION) $(LWIP_ORIG) $(LWIP_SHA256) $(@D)

# The package's sources have DOS line ends.
$(LWIP)/patched: $(LWIP)/$(LWIP_ORIG) $(LWIP_PATCHES)
	$(call say,PATCH,lwip)
	$(Q)rm -rf $(LWIP)/src $(LWIP)/test && tar -xJf $< -C $(LWIP) --strip-components=1 && \
	find $(LWIP)/src $(LWIP)/test -name '*.[ch]' -exec sed -i 's/\r$$//' {} + && \
	for p in $(LWIP_PATCHES); do patch -s -d $(LWIP) -p1 < $$p || exit 1; done && touch $@

$(LWIP)/obj/%.o: $(LWIP)/patched third_party/lwip/lwipopts.h third_party/lwip/hooks.h third_party/lwip/arch/cc.h
	@mkdir -p $(@D)
	$(call say,CC,lwip/$*.c)
	$(Q)$(CC) -O2 -g -std=gnu11 -Wall -Wno-address $(ENGINE_CFLAGS) $(ENGINE_EXTRA) -c $(LWIP)/src/$*.c -o $@

$(BUILD)/endpoint.a: $(ENDPOINT_PURE:%.c=$(BUILD)/%.o)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/engine.a: $(ENGINE_LWIP:%.c=$(BUILD)/%.o) $(LWIP_OBJS)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

all: $(BUILD)/endpoint.a

# The source is there, or can be fetched: agent/endpoint/lwip-fetch asks once, and says what is left out if not.
ifneq ($(filter-out clean help deps,$(or $(MAKECMDGOALS),all)),)
HAVE_LWIP := $(shell agent/endpoint/lwip-fetch $(LWIP_VERSION) $(LWIP_ORIG) $(LWIP_SHA256) $(LWIP) >&2 && echo yes)
ifeq ($(HAVE_LWIP),yes)
all: $(BUILD)/engine.a
endif
endif
