# A server on the endpoint's engine alone, for tests with the kernel as the client. Without agent.a: names may be the same.
ifeq ($(HAVE_LWIP),yes)
NET_PROGRAMS += $(BUILD)/tests/net/engine_server $(BUILD)/tests/net/xdp_to_xsk.bpf.o

$(BUILD)/tests/net/engine_server: $(BUILD)/tests/net/engine_server.o $(BUILD)/engine.a $(BUILD)/endpoint.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(shell $(PKG) --libs libbpf) -o $@
endif

PROG_TESTS += $(BUILD)/tests/net/endpoint_join

# The examples in mTCP's style, built as their first lines say.
ifeq ($(HAVE_LWIP),yes)
NET_PROGRAMS += $(BUILD)/tests/net/mtcp_server $(BUILD)/tests/net/mtcp_client

$(BUILD)/tests/net/mtcp_%: docs/examples/mtcp/%.c $(MTCP) $(MTCP_HEADERS)
	$(call say,CC,$<)
	$(Q)$(CC) -O2 -g $(WARNINGS) -Iagent/endpoint/mtcp $(LDFLAGS) $< -L$(BUILD) -lautocork-mtcp -lpthread \
		-Wl,-rpath,'$$ORIGIN/../..' -o $@
endif
