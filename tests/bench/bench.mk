# Benchmarks: `make bench` measures the works of docs/bench.md, `make demo` shows one of them side by side.
PRELOAD := $(BUILD)/tests/bench/preload_autocork.so

$(PRELOAD): tests/bench/preload_autocork.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(filter-out -fsanitize=%,$(CFLAGS)) -fPIC -shared $< -ldl -o $@

WORK ?=
ROUNDS ?= 5
BENCH_FLAGS ?=

bench: check-deps ## measure with and without the agent: WORK=nginx,redis ROUNDS=5 (root)
	@$(MAKE) --no-print-directory all $(PRELOAD)
	@tests/bench/run --rounds=$(ROUNDS) $(if $(WORK),--work=$(WORK)) $(BENCH_FLAGS)

demo: deps ## a request in small writes, unmanaged and managed, side by side (root)
	@$(MAKE) --no-print-directory all
	@tests/bench/demo
