/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Frames for the steering program, made from what is unusual about them. Include after cmocka.h. */
#pragma once
#include <arpa/inet.h>
#include <string.h>

struct frame {
	unsigned char bytes[512];
	unsigned int length;
};

/* What a frame is made of; zero means the ordinary. */
struct shape {
	unsigned short vlans[3]; /* TPIDs, outermost first */
	unsigned int version;	 /* 4 (default) or 6 */
	const char *remote, *local;
	unsigned char extensions[10];	     /* IPv6 next-header values */
	unsigned int options;		     /* bytes of IPv4 options */
	unsigned short fragment;	     /* IPv4: the field as it is; IPv6: non-zero makes it the header's field */
	unsigned char protocol;		     /* default TCP */
	unsigned short from, to;	     /* ports; defaults 40000 and 9000 */
	unsigned char flags;		     /* TCP */
	unsigned int sequence, acknowledged; /* TCP; four bytes of data follow unless `empty` */
	int empty;
	unsigned char station;	      /* last byte of the link address it is for */
	unsigned char type;	      /* ICMP */
	unsigned int cut;	      /* bytes taken off the end, lengths in the headers unchanged */
	unsigned int keep;	      /* only so many bytes of the frame, if not 0 */
	int ihl, doff, version_field; /* written instead of the right value if not 0 */
	int total_delta, udp_delta;   /* added to the length fields */
	unsigned int padding;	      /* Ethernet padding behind the packet */
};

static void put16(struct frame *frame, unsigned int value)
{
	frame->bytes[frame->length++] = value >> 8;
	frame->bytes[frame->length++] = value;
}

static void put(struct frame *frame, const void *bytes, unsigned int length)
{
	memcpy(frame->bytes + frame->length, bytes, length);
	frame->length += length;
}

static void put_zeros(struct frame *frame, unsigned int length)
{
	memset(frame->bytes + frame->length, 0, length);
	frame->length += length;
}

static void put_transport(struct frame *frame, const struct shape *shape, unsigned char protocol)
{
	unsigned int start = frame->length, doff = shape->doff ? shape->doff : 5;

	switch (protocol) {
	case IPPROTO_TCP:
		put16(frame, shape->from ? shape->from : 40000);
		put16(frame, shape->to ? shape->to : 9000);
		put16(frame, shape->sequence >> 16);
		put16(frame, shape->sequence);
		put16(frame, shape->acknowledged >> 16);
		put16(frame, shape->acknowledged);
		put16(frame, doff << 12 | shape->flags);
		put_zeros(frame, 6);
		break;
	case IPPROTO_UDP:
		put16(frame, shape->from ? shape->from : 40000);
		put16(frame, shape->to ? shape->to : 9000);
		put16(frame, 8 + 4 + shape->udp_delta);
		put16(frame, 0);
		break;
	default: /* ICMP, or nothing known */
		frame->bytes[frame->length++] = shape->type;
		put_zeros(frame, 7);
	}
	put_zeros(frame, start + (protocol == IPPROTO_TCP ? 20 : 8) + (shape->empty ? 0 : 4) - frame->length);
}

static void put_ipv4(struct frame *frame, const struct shape *shape, unsigned char protocol)
{
	unsigned int start = frame->length, ihl = shape->ihl ? shape->ihl : (int)(5 + shape->options / 4), total;
	struct in_addr address;

	frame->bytes[frame->length++] = (shape->version_field ? shape->version_field : 4) << 4 | ihl;
	put_zeros(frame, 5);
	put16(frame, shape->fragment);
	frame->bytes[frame->length++] = 64;
	frame->bytes[frame->length++] = protocol;
	put16(frame, 0);
	assert_int_equal(inet_pton(AF_INET, shape->remote ? shape->remote : "192.0.2.1", &address), 1);
	put(frame, &address, 4);
	assert_int_equal(inet_pton(AF_INET, shape->local ? shape->local : "192.0.2.2", &address), 1);
	put(frame, &address, 4);
	put_zeros(frame, shape->options);
	put_transport(frame, shape, protocol);
	total = frame->length - start + shape->total_delta;
	frame->bytes[start + 2] = total >> 8;
	frame->bytes[start + 3] = total;
}

static void put_ipv6(struct frame *frame, const struct shape *shape, unsigned char protocol)
{
	unsigned int start = frame->length, total, next_at = start + 6, i;
	struct in6_addr address;

	frame->bytes[frame->length++] = (shape->version_field ? shape->version_field : 6) << 4;
	put_zeros(frame, 5);
	put16(frame, protocol << 8 | 64);
	assert_int_equal(inet_pton(AF_INET6, shape->remote ? shape->remote : "2001:db8::1", &address), 1);
	put(frame, &address, 16);
	assert_int_equal(inet_pton(AF_INET6, shape->local ? shape->local : "2001:db8::2", &address), 1);
	put(frame, &address, 16);
	for (i = 0; i < sizeof(shape->extensions) && shape->extensions[i]; i++) {
		/* 0 ends the list: hop-by-hop is written as 1. */
		unsigned char kind = shape->extensions[i] == 1 ? 0 : shape->extensions[i];
		unsigned int length = kind == 44 ? 8 : kind == 51 ? 12 : 16;

		frame->bytes[next_at] = kind;
		next_at = frame->length;
		frame->bytes[frame->length++] = protocol;
		frame->bytes[frame->length++] = kind == 44 ? 0 : kind == 51 ? length / 4 - 2 : length / 8 - 1;
		put16(frame, kind == 44 ? shape->fragment : 0);
		put_zeros(frame, length - 4);
	}
	put_transport(frame, shape, protocol);
	total = frame->length - start - 40 + shape->total_delta;
	frame->bytes[start + 4] = total >> 8;
	frame->bytes[start + 5] = total;
}

static struct frame make_frame(const struct shape *shape)
{
	unsigned char protocol = shape->protocol ? shape->protocol : IPPROTO_TCP;
	struct frame frame = { .bytes = { [5] = shape->station }, .length = 12 };

	for (int i = 0; i < 3 && shape->vlans[i]; i++) {
		put16(&frame, shape->vlans[i]);
		put16(&frame, 0xe000 | (100 + i)); /* priority bits set: they are no part of the id */
	}
	put16(&frame, shape->version == 6 ? 0x86dd : 0x0800);
	if (shape->version == 6)
		put_ipv6(&frame, shape, protocol);
	else
		put_ipv4(&frame, shape, protocol);
	frame.length -= shape->cut;
	put_zeros(&frame, shape->padding);
	if (shape->keep)
		frame.length = shape->keep;
	return frame;
}
