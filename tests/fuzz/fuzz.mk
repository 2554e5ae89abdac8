# libFuzzer targets: clang's, with the address and undefined-behaviour sanitizers; no part of `all`.
FUZZERS      := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 20
FUZZ_SRCS    := agent/replay/trace.c agent/replay/replay.c agent/replay/report.c agent/lib/fault.c

$(FUZZERS): $(BUILD)/%: %.c $(FUZZ_SRCS) include/autocork/predictor.h
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -g -O1 -Wall -Wextra -Werror -Wno-unused-parameter \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $< $(FUZZ_SRCS) $(shell $(PKG) --libs jansson) -o $@

.PHONY: fuzz
fuzz: $(FUZZERS) ## fuzz the predictor and the trace reader, FUZZ_SECONDS each (20)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/unit/test_fuzz
