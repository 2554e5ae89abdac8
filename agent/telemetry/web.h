/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The files of the web page, embedded by the linker (ld -r -b binary; the Makefile says how). */
#pragma once

/* X(path, name, MIME type) */
#define WEB_FILES(X) \
	X("/", index, "text/html; charset=utf-8") \
	X("/app.js", app, "text/javascript; charset=utf-8") \
	X("/app.css", style, "text/css; charset=utf-8") \
	X("/uplot.js", uplot, "text/javascript; charset=utf-8") \
	X("/uplot.css", uplot_style, "text/css; charset=utf-8") \
	X("/uplot-licence.txt", uplot_licence, "text/plain; charset=utf-8")

#define WEB_SYMBOL(name, file) \
	extern const char web_##name[] __asm__("_binary_" file "_start"); \
	extern const char web_##name##_end[] __asm__("_binary_" file "_end");

WEB_SYMBOL(index, "agent_telemetry_web_index_html")
WEB_SYMBOL(app, "agent_telemetry_web_app_js")
WEB_SYMBOL(style, "agent_telemetry_web_app_css")
WEB_SYMBOL(uplot, "third_party_uplot_uPlot_iife_min_js")
WEB_SYMBOL(uplot_style, "third_party_uplot_uPlot_min_css")
WEB_SYMBOL(uplot_licence, "third_party_uplot_LICENSE")
