.PHONY: bench-steer
bench-steer: check-deps ## measure what steering costs (root)
	@$(MAKE) --no-print-directory all $(PROG_TESTS) $(BUILD)/tests/bench/steer_cost
	@tests/bench/steer $(BENCH_FLAGS)
