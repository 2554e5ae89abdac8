/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "steer/interface.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int interface_index(const char *name, struct fault *fault)
{
	unsigned int index = strlen(name) < IF_NAMESIZE ? if_nametoindex(name) : 0;

	if (!index)
		return fault_set(fault, EXIT_FAILED,
				 "%s: no such interface in this network namespace: `ip -br link` lists them", name);
	return index;
}

unsigned int interface_queues(const char *name)
{
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq request = { .ifr_data = (void *)&channels };
	unsigned int queues = 0;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return 1;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (!ioctl(fd, SIOCETHTOOL, &request))
		queues = channels.combined_count + channels.rx_count;
	close(fd);
	return queues ? queues : 1;
}

static void program_name(uint32_t id, char *name, size_t size)
{
	struct bpf_func_info function;
	struct bpf_prog_info info = { 0 };
	uint32_t length = sizeof(info);
	const struct btf_type *type;
	int fd = bpf_prog_get_fd_by_id(id);
	struct btf *btf;

	snprintf(name, size, "?");
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &length) && info.name[0])
		snprintf(name, size, "%s", info.name);
	if (info.btf_id && info.nr_func_info) {
		info = (struct bpf_prog_info){ .nr_func_info = 1,
					       .func_info_rec_size = sizeof(function),
					       .func_info = (uint64_t)(uintptr_t)&function };
		length = sizeof(info);
		btf = bpf_obj_get_info_by_fd(fd, &info, &length) ? NULL : btf__load_from_kernel_by_id(info.btf_id);
		type = btf ? btf__type_by_id(btf, function.type_id) : NULL;
		if (type)
			snprintf(name, size, "%s", btf__name_by_offset(btf, type->name_off));
		btf__free(btf);
	}
	close(fd);
}

/* The link that holds the program on the interface: netlink, and so `ip`, cannot take it away. */
static uint32_t link_of(int index, uint32_t program)
{
	struct bpf_link_info info;
	uint32_t id = 0, length, found = 0;

	while (!found && !bpf_link_get_next_id(id, &id)) {
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0)
			continue;
		info = (struct bpf_link_info){ 0 };
		length = sizeof(info);
		if (!bpf_obj_get_info_by_fd(fd, &info, &length) && info.type == BPF_LINK_TYPE_XDP &&
		    info.xdp.ifindex == (uint32_t)index && info.prog_id == program)
			found = id;
		close(fd);
	}
	return found;
}

void interface_xdp_advice(const char *name, const struct interface_xdp *xdp, char advice[INTERFACE_ADVICE_LEN])
{
	/* `xdp off` is for the mode that the kernel would choose now: native where the driver can. */
	static const char *const words[] = { "xdp", "xdpgeneric", "xdpoffload" };
	int at = 0;

	*advice = 0;
	if (xdp->link) {
		snprintf(advice, INTERFACE_ADVICE_LEN, "`bpftool link detach id %u`", xdp->link);
		return;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (xdp->modes[i] && at < INTERFACE_ADVICE_LEN)
			at += snprintf(advice + at, INTERFACE_ADVICE_LEN - at, "%s`ip link set dev %s %s off`",
				       at ? " and " : "", name, words[i]);
}

int interface_xdp(int index, struct interface_xdp *xdp, struct fault *fault)
{
	static const char *const modes[] = {
		[XDP_ATTACHED_DRV] = "native",
		[XDP_ATTACHED_SKB] = "generic",
		[XDP_ATTACHED_HW] = "offloaded",
		[XDP_ATTACHED_MULTI] = "several",
	};
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int error = bpf_xdp_query(index, 0, &query);

	*xdp = (struct interface_xdp){ 0 };
	if (error)
		return fault_set(fault, EXIT_FAILED,
				 "interface %d: asking for its XDP program failed: %s: is it still there?", index,
				 strerror(-error));
	if (query.attach_mode == XDP_ATTACHED_NONE)
		return 0;
	xdp->mode = query.attach_mode <= XDP_ATTACHED_MULTI ? modes[query.attach_mode] : "?";
	xdp->program = query.drv_prog_id ?: query.hw_prog_id ?: query.skb_prog_id ?: query.prog_id;
	xdp->modes[0] = query.drv_prog_id;
	xdp->modes[1] = query.skb_prog_id;
	xdp->modes[2] = query.hw_prog_id;
	xdp->link = link_of(index, xdp->program);
	program_name(xdp->program, xdp->name, sizeof(xdp->name));
	return 0;
}
