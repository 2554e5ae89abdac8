# Embedded, so that the test is one file on stock kernels too.
$(BUILD)/tests/prog/predictor.skel.h: $(BUILD)/tests/prog/predictor.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name predictor_bpf > $@

$(BUILD)/tests/prog/test_predictor.o: | $(BUILD)/tests/prog/predictor.skel.h
