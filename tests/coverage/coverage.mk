# Which lines the unit tests run: a build of its own, build/coverage. The BPF programs are not counted: they run in the
# kernel.
ifeq ($(COVERAGE),1)
COVERAGE_FLAGS := -O0 --coverage -fprofile-update=atomic
override CFLAGS  += $(COVERAGE_FLAGS)
override LDFLAGS += --coverage
endif

.PHONY: coverage
coverage: unit-deps ## which lines of agent/ the unit tests run, per folder
	@mkdir -p build/coverage && find build/coverage -name '*.gcda' -delete
	@$(MAKE) --no-print-directory all $(UNIT_TESTS:$(BUILD)/%=build/coverage/%) BUILD=build/coverage COVERAGE=1
	@BUILD=build/coverage tests/run unit >build/coverage/unit.log || grep -A3 '^ *not ok' build/coverage/unit.log
	@tests/coverage/count build/coverage
