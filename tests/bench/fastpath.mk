# The two ends of tests/bench/fastpath/run.
all: $(BUILD)/tests/bench/fastpath_peer

$(BUILD)/tests/bench/fastpath_peer: tests/bench/fastpath/peer.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -O2 -g -std=gnu11 $(WARNINGS) $< -o $@
