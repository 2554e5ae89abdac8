# The engine as a library of its own, which a test can load several times; with AddressSanitizer, as the test is.
ENGINE_COPY_FLAGS := -O1 -g -std=gnu11 -fPIC -shared -fsanitize=address -fno-omit-frame-pointer -Wno-address \
	-isystem third_party/lwip -isystem $(LWIP)/src/include $(COVERAGE_FLAGS)
ENGINE_TESTS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/test_endpoint_engine*.c))

$(BUILD)/tests/unit/engine_copy.so: $(ENGINE_LWIP) $(LWIP)/patched $(wildcard agent/endpoint/*.h third_party/lwip/*.h)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(ENGINE_COPY_FLAGS) -Wl,-Bsymbolic $(ENGINE_LWIP) $(LWIP_SRCS:%=$(LWIP)/src/%) -o $@

ifeq ($(HAVE_LWIP),yes)
$(ENGINE_TESTS): $(BUILD)/tests/unit/engine_copy.so
else
# Without lwIP there is nothing to test.
UNIT_TESTS := $(filter-out $(ENGINE_TESTS),$(UNIT_TESTS))
endif
$(ENGINE_TESTS:=.o): CFLAGS += -fsanitize=address
$(ENGINE_TESTS): LDFLAGS += -fsanitize=address

# libFuzzer target for the engine's receive path. make fuzz-engine FUZZ_SECONDS=600
$(BUILD)/tests/unit/fuzz_engine: tests/unit/fuzz_engine.c $(ENGINE_LWIP) agent/endpoint/handover.c $(LWIP)/patched \
		$(wildcard agent/endpoint/*.h tests/unit/ring_memory.h tests/unit/segment.h third_party/lwip/*.h)
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -O1 -g -Wno-address -fsanitize=fuzzer,address -isystem third_party/lwip \
		-isystem $(LWIP)/src/include tests/unit/fuzz_engine.c $(ENGINE_LWIP) agent/endpoint/handover.c \
		$(LWIP_SRCS:%=$(LWIP)/src/%) -o $@

.PHONY: fuzz-engine
fuzz-engine: $(BUILD)/tests/unit/fuzz_engine ## fuzz the receive path of the endpoint's engine
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=1024 -print_final_stats=1

# lwIP's own unit tests, with our patches in lwIP: tests/unit/test_endpoint_lwip runs them.
LWIP_TESTS := $(BUILD)/tests/unit/lwip_tests
LWIP_TEST_FLAGS := -O1 -g -w -std=gnu11 -pipe '-DLWIP_HOOK_FILENAME="hooks.h"' -DLWIP_TCP_TIMESTAMPS=1 -DTCP_MSS_SURE=536 \
	-DTCP_SMALLER_RTX=3 -DTCP_RTO_MIN=0 -Itests/unit/lwip -I$(LWIP_TESTS).d/test/unit -I$(LWIP)/src/include

$(LWIP_TESTS): $(LWIP)/patched $(wildcard tests/unit/lwip/* tests/unit/lwip/arch/*)
	$(call say,CC,$@)
	$(Q)rm -rf $@.d && mkdir -p $@.d/test && cp -r $(LWIP)/test/unit $@.d/test/ && \
	patch -s -d $@.d -p1 < tests/unit/lwip/tests.patch && \
	$(CC) $(LWIP_TEST_FLAGS) $(LWIP)/src/core/*.c $(LWIP)/src/core/ipv[46]/*.c $(LWIP)/src/api/*.c $(LWIP)/src/netif/ethernet.c \
		$(LWIP)/src/apps/mdns/*.c $(LWIP)/src/apps/mqtt/*.c $@.d/test/unit/*.c $@.d/test/unit/*/*.c \
		$$($(PKG) --cflags --libs check) -lpthread -o $@
