/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#include "endpoint-broker/protocol.h"

#include <string.h>

const char *const endpoint_reasons[ENDPOINT_REASON_MAX] = {
#define X(id, name) name,
	ENDPOINT_REASONS(X)
#undef X
};

unsigned endpoint_request_fds(uint32_t op)
{
	return op == ENDPOINT_UNLISTEN ? 0 : 1;
}

bool endpoint_request_valid(const void *bytes, size_t size, unsigned fds, const char **text)
{
	struct endpoint_request request;

	*text = "its library is of another version than the agent: restart the older of the two";
	if (size != sizeof(request))
		return false;
	memcpy(&request, bytes, sizeof(request));
	if (request.version != ENDPOINT_VERSION || request.op >= ENDPOINT_OP_MAX)
		return false;
	*text = "the request has too many or too few descriptors";
	if (fds != endpoint_request_fds(request.op))
		return false;
	*text = "the request's interface has no end";
	if (!memchr(request.interface, 0, sizeof(request.interface)))
		return false;
	*text = "the request names no interface";
	if (request.op == ENDPOINT_JOIN && !*request.interface)
		return false;
	*text = "the request names no port";
	if (request.op == ENDPOINT_UNLISTEN && (!request.port || request.port > 65535))
		return false;
	*text = "the request gives no reason";
	if (request.op == ENDPOINT_HANDOVER && request.reason >= ENDPOINT_REASON_MAX)
		return false;
	*text = "the connection has more bytes than a hand-over takes";
	if (request.op == ENDPOINT_HANDOVER && request.bytes > ENDPOINT_BYTES_MAX)
		return false;
	*text = "";
	return true;
}
