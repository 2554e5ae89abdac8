# Programs that the tests with real programs need in C.
NET_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/net/*.c)) $(BUILD)/tests/bench/preload_autocork.so
