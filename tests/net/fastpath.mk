# What the tests of autocork-fastpath put between it and its peers.
all: $(BUILD)/tests/net/lossy

$(BUILD)/tests/net/lossy: tests/net/lossy.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -O2 -g -std=gnu11 $(WARNINGS) $< -o $@
