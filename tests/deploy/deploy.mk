# What is deployed, put into use; beside `make check`, because it starts the agent once for each mount and capability, and a
# playbook takes its time.
IMAGE := $(BUILD)/autocork-image.tar
IMAGE_DEPS := buildah debhelper mmdebstrap podman runc
.PHONY: image check-image check-ansible check-fleet
image: all ## the container image, as an OCI archive in build/ (root)
	@packaging/install-packages $(IMAGE_DEPS)
	@deploy/container/build $(IMAGE)

check-image: check-deps image ## run the container image by podman, with and without each mount and capability (root)
	@TEST=image TEST_LIMIT=600 TEST_SECONDS=1800 tests/run deploy

check-ansible: check-deps ## apply the Ansible role to a copy of this system (root)
	@packaging/install-packages ansible-core ansible-lint
	@$(MAKE) --no-print-directory all
	@TEST=ansible TEST_SECONDS=1800 tests/run deploy

check-fleet: check-deps ## three agents in QEMU, a canary among them, scraped by one Prometheus (root)
	@$(MAKE) --no-print-directory all
	@TEST=fleet TEST_SECONDS=3600 tests/run deploy
