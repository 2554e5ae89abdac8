# Embedded, so that the test is one file on stock kernels too.
$(BUILD)/tests/prog/policy_match.skel.h: $(BUILD)/tests/prog/policy_match.bpf.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name policy_match_bpf > $@

$(BUILD)/tests/prog/test_policy_match.o: | $(BUILD)/tests/prog/policy_match.skel.h
