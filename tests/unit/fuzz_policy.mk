# The policy parser under libFuzzer: a short, repeatable run is part of `make check`, `make fuzz-policy` goes on for FUZZ_SECONDS.
FUZZ_POLICY      := $(BUILD)/tests/unit/fuzz_policy
FUZZ_POLICY_SRCS := tests/unit/fuzz_policy.c $(filter-out agent/policy/cgroup_watch.c,$(wildcard agent/policy/*.c)) \
	agent/lib/cgroup.c agent/lib/fault.c agent/lib/json.c agent/lib/log.c agent/lib/memory.c
FUZZ_SECONDS     ?= 600
UNIT_TESTS       += $(FUZZ_POLICY)

$(FUZZ_POLICY): $(FUZZ_POLICY_SRCS) $(wildcard agent/policy/*.h include/autocork/*.h)
	@mkdir -p $(@D)
	$(call say,FUZZ,$@)
	$(Q)$(CLANG) $(CPPFLAGS) -O1 -g -std=gnu11 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
		$(FUZZ_POLICY_SRCS) -linih -ljansson -lm -o $@

unit: $(FUZZ_POLICY)
.PHONY: fuzz-policy
fuzz-policy: $(FUZZ_POLICY)
	@mkdir -p $(BUILD)/tests/fuzz-policy
	$(FUZZ_POLICY) -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -dict=tests/unit/policy/fuzz.dict \
		-artifact_prefix=$(BUILD)/tests/ $(BUILD)/tests/fuzz-policy tests/unit/policy/good tests/unit/policy/bad
