/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "bench/copy_modes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/sides.h"
#include "bench/wire.h"

#define PAGE 4096

static ssize_t send_aligned(const struct bench_copy_source *source, int fd, size_t offset, size_t n)
{
	return send(fd, source->aligned + offset, n, 0);
}

static ssize_t send_unaligned(const struct bench_copy_source *source, int fd, size_t offset, size_t n)
{
	return send(fd, source->unaligned + offset, n, 0);
}

static ssize_t read_and_send(const struct bench_copy_source *source, int fd, size_t offset, size_t n)
{
	ssize_t got = pread(source->file, source->bounce, n, (off_t)offset);

	return got <= 0 ? -1 : send(fd, source->bounce, (size_t)got, 0);
}

static ssize_t send_zerocopy(const struct bench_copy_source *source, int fd, size_t offset, size_t n)
{
	return send(fd, source->aligned + offset, n, MSG_ZEROCOPY);
}

static ssize_t send_file(const struct bench_copy_source *source, int fd, size_t offset, size_t n)
{
	off_t from = (off_t)offset;

	return sendfile(fd, source->file, &from, n);
}

static ssize_t splice_through_pipe(const struct bench_copy_source *source, int fd, size_t offset, size_t n)
{
	off_t from = (off_t)offset;
	ssize_t in = splice(source->file, &from, source->pipe[1], NULL, n, SPLICE_F_MOVE);

	for (ssize_t out = 0; out < in;) {
		ssize_t moved = splice(source->pipe[0], NULL, fd, NULL, (size_t)(in - out), SPLICE_F_MOVE);

		if (moved < 0 && errno == EINTR)
			continue;
		if (moved <= 0)
			return -1;
		out += moved;
	}
	return in;
}

static const struct mode {
	const char *name, *what;
	ssize_t (*send)(const struct bench_copy_source *source, int fd, size_t offset, size_t n);
} modes[BENCH_COPY_MODES] = {
	[BENCH_COPY_SEND] = { "send", "send() from page-aligned memory", send_aligned },
	[BENCH_COPY_UNALIGNED] = { "unaligned", "send() from one byte behind a page", send_unaligned },
	[BENCH_COPY_READ] = { "read", "read() of a file, then send()", read_and_send },
	[BENCH_COPY_ZEROCOPY] = { "zerocopy", "send() with MSG_ZEROCOPY, page-aligned", send_zerocopy },
	[BENCH_COPY_SENDFILE] = { "sendfile", "sendfile()", send_file },
	[BENCH_COPY_SPLICE] = { "splice", "splice() from a file to a pipe to the socket", splice_through_pipe },
};

const char *bench_copy_name(enum bench_copy_mode mode)
{
	return modes[mode].name;
}

const char *bench_copy_what(enum bench_copy_mode mode)
{
	return modes[mode].what;
}

uint32_t bench_copy_modes(const char *list)
{
	uint32_t bits = 0;

	for (;;) {
		size_t length = strcspn(list, ","), mode = 0;

		while (mode < BENCH_COPY_MODES &&
		       (strlen(modes[mode].name) != length || strncmp(modes[mode].name, list, length)))
			mode++;
		if (mode == BENCH_COPY_MODES)
			return 0;
		bits |= 1u << mode;
		if (!list[length])
			return bits;
		list += length + 1;
	}
}

ssize_t bench_copy_send(const struct bench_copy_source *source, enum bench_copy_mode mode, int fd, size_t offset,
			size_t n)
{
	return modes[mode].send(source, fd, offset, n);
}

void bench_copy_completions(int fd, struct bench_copy_sample *sample)
{
	char control[128];
	struct msghdr message = { .msg_control = control };

	for (;;) {
		message.msg_controllen = sizeof(control);
		if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
			struct sock_extended_err error;

			memcpy(&error, CMSG_DATA(c), sizeof(error));
			if (error.ee_origin != SO_EE_ORIGIN_ZEROCOPY)
				continue;
			/* One message completes the calls number ee_info to ee_data. */
			sample->zerocopy_done += error.ee_data - error.ee_info + 1;
			if (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
				sample->zerocopy_copied += error.ee_data - error.ee_info + 1;
		}
	}
}

static void *memory(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int bench_copy_open(struct bench_copy_source *source, uint32_t size, struct fault *fault)
{
	*source = (struct bench_copy_source){ .file = -1, .pipe = { -1, -1 } };
	source->aligned = memory(BENCH_COPY_SOURCE);
	source->unaligned = memory(BENCH_COPY_SOURCE + PAGE);
	source->bounce = memory(BENCH_COPY_SIZE_MAX);
	if (!source->aligned || !source->unaligned || !source->bounce)
		goto failed;
	source->unaligned++;
	bench_fill(source->aligned, BENCH_COPY_SOURCE, 0);
	bench_fill(source->unaligned, BENCH_COPY_SOURCE, 0);
	memset(source->bounce, 0, BENCH_COPY_SIZE_MAX);
	source->file = memfd_create("autocork-bench-copy", MFD_CLOEXEC);
	if (source->file < 0 || bench_write_all(source->file, source->aligned, BENCH_COPY_SOURCE) ||
	    pipe2(source->pipe, O_CLOEXEC))
		goto failed;
	/* Too small a pipe makes splice() move less per call, no more than that. */
	fcntl(source->pipe[1], F_SETPIPE_SZ, (int)size);
	return 0;
failed:
	fault_set(fault, EXIT_FAILED, "the bytes to send: %s: free some memory", strerror(errno));
	bench_copy_close(source);
	return -1;
}

void bench_copy_close(struct bench_copy_source *source)
{
	if (source->aligned)
		munmap(source->aligned, BENCH_COPY_SOURCE);
	if (source->unaligned)
		munmap((void *)((uintptr_t)source->unaligned & ~(uintptr_t)(PAGE - 1)), BENCH_COPY_SOURCE + PAGE);
	if (source->bounce)
		munmap(source->bounce, BENCH_COPY_SIZE_MAX);
	for (int i = 0; i < 2; i++)
		if (source->pipe[i] >= 0)
			close(source->pipe[i]);
	if (source->file >= 0)
		close(source->file);
}
