# A server on the endpoint's engine alone, for tests with the kernel as the client. Without agent.a: names may be the same.
ifeq ($(HAVE_LWIP),yes)
NET_PROGRAMS += $(BUILD)/tests/net/engine_server $(BUILD)/tests/net/xdp_to_xsk.bpf.o

$(BUILD)/tests/net/engine_server: $(BUILD)/tests/net/engine_server.o $(BUILD)/engine.a $(BUILD)/endpoint.a
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(shell $(PKG) --libs libbpf) -o $@
endif
