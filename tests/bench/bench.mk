# Benchmarks: `make bench` measures the works of docs/bench.md, `make demo` shows one of them side by side.
BENCH_PRELOAD := $(BUILD)/tests/bench/preload_autocork.so
BENCH_ECHO    := $(BUILD)/tests/bench/echo

$(BENCH_ECHO): tests/bench/echo.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -O2 -g -std=gnu11 $(WARNINGS) $< -o $@

$(BENCH_PRELOAD): tests/bench/preload_autocork.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -fsanitize=%,$(CFLAGS)) -fPIC -shared $< -ldl -o $@

WORK ?=
ROUNDS ?= 5
BENCH_FLAGS ?=

bench: check-deps ## measure with and without the agent: WORK=nginx,redis or endpoint, ROUNDS=5 (root)
	@$(MAKE) --no-print-directory all $(BENCH_PRELOAD) $(BENCH_ECHO) $(NET_PROGRAMS) $(PROG_TESTS)
	@tests/bench/$(if $(filter endpoint%,$(WORK)),endpoint,run) --rounds=$(ROUNDS) $(if $(WORK),--work=$(WORK)) $(BENCH_FLAGS)

demo: deps ## a request in small writes, unmanaged and managed, side by side (root)
	@$(MAKE) --no-print-directory all
	@tests/bench/demo
