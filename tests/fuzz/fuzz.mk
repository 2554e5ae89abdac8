# libFuzzer targets: clang's, with the address and undefined-behaviour sanitizers; no part of `all`.
FUZZERS      := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 20
FUZZ_SRCS    := agent/replay/trace.c agent/replay/simulator.c agent/replay/replay_report.c agent/lib/array.c agent/lib/fault.c agent/lib/names.c
FUZZ_POLICY  := $(filter-out %_watch.c,$(wildcard agent/policy/*.c)) \
	$(addprefix agent/lib/,cgroup.c fault.c json.c log.c memory.c names.c)

$(BUILD)/tests/fuzz/fuzz_policy: FUZZ_SRCS := $(FUZZ_POLICY)
$(BUILD)/tests/fuzz/fuzz_policy: $(FUZZ_POLICY) $(wildcard agent/policy/*.h include/autocork/policy*.h)
$(FUZZERS): $(BUILD)/%: %.c $(FUZZ_SRCS) $(wildcard include/autocork/*.h)
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(CLANG) $(CPPFLAGS) -std=gnu11 -g -O1 $(WARNINGS) \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all $< $(FUZZ_SRCS) \
		$(shell $(PKG) --libs jansson inih) -lm -o $@

.PHONY: fuzz
fuzz: $(FUZZERS) ## fuzz the predictor, the trace reader and the policy files, FUZZ_SECONDS each (20)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/unit/test_fuzz
