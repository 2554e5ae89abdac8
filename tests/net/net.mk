# Programs that the tests with real programs need in C.
NET_PROGRAMS := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/net/*.c))
