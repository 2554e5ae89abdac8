/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Attaches an XDP program by a BPF link, as newer programs do, and holds it: xdp_link OBJECT INTERFACE. */
#include <bpf/libbpf.h>
#include <err.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct bpf_object *object = argc == 3 ? bpf_object__open(argv[1]) : NULL;

	if (!object || bpf_object__load(object) ||
	    !bpf_program__attach_xdp(bpf_object__next_program(object, NULL), if_nametoindex(argv[2])))
		err(1, "xdp_link OBJECT INTERFACE");
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
