# libautocork-endpoint.so: the C library's calls in front of the engine, for `autocork run`. Nothing without lwIP's source.
PRELOAD      := $(BUILD)/libautocork-endpoint.so
PRELOAD_SRCS := $(wildcard agent/endpoint/preload/*.c)
PRELOAD_OBJS := $(PRELOAD_SRCS:%.c=$(BUILD)/%.o)

# Without fortification, whose inline functions have the names that are put in front of the C library's.
$(PRELOAD_OBJS): override CFLAGS += -fPIC -fvisibility=hidden -U_FORTIFY_SOURCE

ifeq ($(HAVE_LWIP),yes)
all: $(PRELOAD)

$(PRELOAD): $(PRELOAD_OBJS) $(BUILD)/engine.a $(BUILD)/endpoint.a
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -Wl,-z,now,-z,relro,--no-undefined $^ -lpthread -o $@
endif
