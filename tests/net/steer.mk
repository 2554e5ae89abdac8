# The consumer, the agent and the foreign program of the steering tests.
PROG_TESTS += $(BUILD)/tests/net/steer_consumer $(BUILD)/tests/net/xdp_link $(BUILD)/tests/net/steer_agent $(BUILD)/tests/net/xdp_pass.bpf.o
# Its rings are libxdp's.
$(BUILD)/tests/net/steer_consumer: override LDLIBS += $(shell $(PKG) --libs libxdp)
