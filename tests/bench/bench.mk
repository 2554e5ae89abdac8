# Benchmarks.
PRELOAD := $(BUILD)/tests/bench/preload_autocork.so

$(PRELOAD): tests/bench/preload_autocork.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -shared $< -ldl -o $@
