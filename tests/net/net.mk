# Programs that the tests with real programs need, beside what fastpath.mk and steer.mk name.
NET_PROGRAMS += $(addprefix $(BUILD)/tests/,net/ktls_flow net/mhd_server net/uring_client net/ways_client bench/preload_autocork.so)
