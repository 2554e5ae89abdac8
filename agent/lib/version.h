/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The release, in one place: --version, `autocork status` and the metrics page take it from here. */
#pragma once

#define AUTOCORK_VERSION "0.1.0"
