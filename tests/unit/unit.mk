# Tests of what stands on the engine run on one without a kernel.
$(BUILD)/tests/unit/test_ops: $(BUILD)/tests/unit/fake_engine.o

# Clients are dropped after minutes of silence.
$(BUILD)/tests/unit/test_control: LDFLAGS += -Wl,--wrap=sd_event_now
