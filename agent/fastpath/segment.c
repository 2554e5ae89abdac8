/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Merging of TCP segments: see segment.h. */
#include "fastpath/segment.h"

#include <netinet/in.h>
#include <string.h>

#include "fastpath/checksum.h"

/* Offsets in the IPv4 header, the IPv6 header and the TCP header. */
#define IP4_TOS 1
#define IP4_LENGTH 2
#define IP4_FRAGMENT 6
#define IP4_TTL 8
#define IP4_CHECK 10
#define IP4_SIZE 20
#define IP6_LENGTH 4
#define IP6_HOPS 7
#define IP6_SIZE 40
#define TCP_SEQUENCE 4
#define TCP_ACK 8
#define TCP_OFFSET_FLAGS 12
#define TCP_FLAGS 13
#define TCP_WINDOW 14
#define TCP_CHECK 16
#define TCP_URGENT 18
#define TCP_OPTIONS 20

#define FLAG_FIN 0x01
#define FLAG_SYN 0x02
#define FLAG_RST 0x04
#define FLAG_PSH 0x08
#define FLAG_ACK 0x10
#define MERGEABLE_MASK 0x0ff7 /* reserved bits, AE, CWR, ECE, URG, ACK, RST, SYN, FIN: all but PSH */

/* IANA, TCP option kind numbers. */
#define OPTION_END 0
#define OPTION_NOP 1
#define OPTION_TIMESTAMP 8
#define OPTION_MD5 19
#define OPTION_AO 29

/* The options of a segment can stand over more data than they came with: well-formed, and none of them signs the
 * data. */
static bool options_allow(const uint8_t *option, size_t length)
{
	/* What nearly every segment of every stack carries: NOP NOP timestamp (RFC 7323 appendix A). */
	if (length == 12 && option[0] == OPTION_NOP && option[1] == OPTION_NOP && option[2] == OPTION_TIMESTAMP &&
	    option[3] == 10)
		return true;
	while (length) {
		if (option[0] == OPTION_END)
			return true;
		if (option[0] == OPTION_NOP) {
			option++;
			length--;
			continue;
		}
		if (length < 2 || option[1] < 2 || option[1] > length)
			return false;
		if (option[0] == OPTION_MD5 || option[0] == OPTION_AO)
			return false;
		length -= option[1];
		option += option[1];
	}
	return true;
}

uint32_t segment_sequence(const uint8_t *frame, const struct packet *packet)
{
	return packet_get32(frame + packet->l4 + TCP_SEQUENCE);
}

enum segment_verdict segment_read(const uint8_t *frame, const struct packet *packet, uint32_t max_len,
				  struct segment *segment)
{
	const uint8_t *ip = frame + packet->l3, *tcp = frame + packet->l4;
	uint32_t length = packet->end - packet->payload;
	uint64_t sum;

	if (tcp[TCP_FLAGS] & (FLAG_SYN | FLAG_FIN | FLAG_RST))
		return SEGMENT_LAST;
	if (!packet->plain || !length || (uint32_t)(packet->end - packet->l3) >= max_len)
		return SEGMENT_OTHER;
	if ((packet_get16(tcp + TCP_OFFSET_FLAGS) & MERGEABLE_MASK) != FLAG_ACK || packet_get16(tcp + TCP_URGENT))
		return SEGMENT_OTHER;
	if (!options_allow(tcp + TCP_OPTIONS, packet->payload - packet->l4 - TCP_OPTIONS))
		return SEGMENT_OTHER;
	if (packet->version == 4 && sum_fold(sum_bytes(ip, IP4_SIZE, 0)) != 0xffff)
		return SEGMENT_CORRUPT;
	segment->data_sum = sum_fold(sum_bytes(frame + packet->payload, length, 0));
	sum = packet_pseudo_sum(frame, packet, IPPROTO_TCP, packet->end - packet->l4);
	/* A TCP header is a multiple of four bytes long, so the data's own sum needs no shift. */
	if (sum_fold(sum_bytes(tcp, packet->payload - packet->l4, sum) + segment->data_sum) != 0xffff)
		return SEGMENT_CORRUPT;
	segment->sequence = segment_sequence(frame, packet);
	segment->ack = packet_get32(tcp + TCP_ACK);
	segment->length = length;
	segment->version = packet->version;
	segment->l3 = packet->l3;
	segment->l4 = packet->l4;
	segment->data = packet->payload;
	segment->end = packet->end;
	return SEGMENT_SMALL;
}

bool segment_follows(const uint8_t *head_frame, const struct segment *head, const uint8_t *next_frame,
		     const struct segment *next)
{
	const uint8_t *a = head_frame + head->l3, *b = next_frame + next->l3;
	const uint8_t *s = head_frame + head->l4, *t = next_frame + next->l4;

	if (head->sequence + head->length != next->sequence || head->ack != next->ack)
		return false;
	/* Same link header (stations, VLAN tags with their priority) and same headers' length. */
	if (head->l3 != next->l3 || head->data != next->data || memcmp(head_frame, next_frame, head->l3))
		return false;
	if (head->version == 4) {
		if (a[IP4_TOS] != b[IP4_TOS] || a[IP4_TTL] != b[IP4_TTL] ||
		    memcmp(a + IP4_FRAGMENT, b + IP4_FRAGMENT, 2))
			return false;
	} else if (memcmp(a, b, IP6_LENGTH) || a[IP6_HOPS] != b[IP6_HOPS]) {
		return false;
	}
	return !memcmp(s + TCP_OPTIONS, t + TCP_OPTIONS, head->data - head->l4 - TCP_OPTIONS);
}

/* Replaces a 16-bit field and mends the checksum over it. */
static void replace(uint8_t *field, uint16_t value, uint8_t *check_at)
{
	uint16_t old, new, check;
	uint8_t bytes[2];

	packet_put16(bytes, value);
	memcpy(&old, field, sizeof(old));
	memcpy(&new, bytes, sizeof(new));
	memcpy(&check, check_at, sizeof(check));
	check = sum_update(check, old, new);
	memcpy(field, bytes, sizeof(bytes));
	memcpy(check_at, &check, sizeof(check));
}

/* Adds to what a checksum covers. */
static void extend(uint8_t *check_at, uint16_t sum)
{
	uint16_t check;

	memcpy(&check, check_at, sizeof(check));
	check = sum_update(check, 0, sum);
	memcpy(check_at, &check, sizeof(check));
}

uint32_t segment_append(uint8_t *head_frame, uint32_t frame_length, struct segment *head, const uint8_t *next_frame,
			const struct segment *next)
{
	uint8_t *ip = head_frame + head->l3, *tcp = head_frame + head->l4, *check = tcp + TCP_CHECK;
	const uint8_t *last = next_frame + next->l4;
	uint8_t grown[2];
	uint16_t sum;

	memcpy(head_frame + head->end, next_frame + next->data, next->length);
	/*
	 * The new checksum comes from the two that were checked on arrival, not from the copied bytes: were they
	 * damaged in this memory, the receiver would still see it.
	 */
	extend(check, head->length & 1 ? sum_shift(next->data_sum) : next->data_sum);
	packet_put16(grown, next->length);
	memcpy(&sum, grown, sizeof(sum));
	extend(check, sum); /* the pseudo header's length */
	replace(tcp + TCP_WINDOW, packet_get16(last + TCP_WINDOW), check);
	replace(tcp + TCP_OFFSET_FLAGS, packet_get16(tcp + TCP_OFFSET_FLAGS) | (last[TCP_FLAGS] & FLAG_PSH), check);

	head->length += next->length;
	head->end += next->length;
	if (head->version == 4)
		replace(ip + IP4_LENGTH, segment_total(head), ip + IP4_CHECK);
	else
		packet_put16(ip + IP6_LENGTH, segment_total(head) - IP6_SIZE);
	/* What is left of the padding of a minimum-size Ethernet frame now follows the data: it stays, as zeros. */
	if (frame_length <= head->end)
		return head->end;
	memset(head_frame + head->end, 0, frame_length - head->end);
	return frame_length;
}
