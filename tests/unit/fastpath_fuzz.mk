# libFuzzer target for everything that reads packets in autocork-fastpath. make fuzz-fastpath FUZZ_SECONDS=600
FUZZ_SECONDS ?= 60
FASTPATH_FUZZED := tests/unit/fuzz_fastpath.c $(addprefix agent/fastpath/,packet.c segment.c coalesce.c mss.c repeats.c echoes.c reflect.c)

$(BUILD)/tests/unit/fuzz_fastpath: $(FASTPATH_FUZZED) $(wildcard agent/fastpath/*.h) tests/unit/frame.h
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -O1 -g $(WARNINGS) \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined $(FASTPATH_FUZZED) -o $@

.PHONY: fuzz-fastpath
fuzz-fastpath: $(BUILD)/tests/unit/fuzz_fastpath ## fuzz the packet code of autocork-fastpath
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=2048 -print_final_stats=1
