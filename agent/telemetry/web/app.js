/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The agent's web page: asks /api/overview every few seconds and shows it. Text goes in as text, never as markup. */
"use strict";

const PERIOD_MS = 5000;
const CHART_HEIGHT = 210;	/* px, without the legend below it */
const REASONS = ["complete", "full", "app_wait", "deadline", "ack", "option", "closing", "ceiling"];

const $ = (id) => document.getElementById(id);

function element(name, text, className) {
	const node = document.createElement(name);
	if (text !== undefined)
		node.textContent = text;
	if (className)
		node.className = className;
	return node;
}

function count(n) {
	if (n === null || n === undefined || !isFinite(n))
		return "–";
	const units = ["", "k", "M", "G", "T"];
	let unit = 0;
	while (Math.abs(n) >= 10000 && unit < units.length - 1) {
		n /= 1000;
		unit++;
	}
	return (unit || Number.isInteger(n) ? Math.round(n * 10) / 10 : Math.round(n * 100) / 100) + units[unit];
}

const percent = (share) => (share * 100).toFixed(1) + "%";

function micros(us) {
	if (us === null)
		return "more";
	return us < 1000 ? us + " µs" : (us / 1000).toFixed(us < 10000 ? 1 : 0) + " ms";
}

function seconds(time) {
	return time < 1 ? Math.round(time * 1000) + " ms" : time < 120 ? time.toFixed(1) + " s" : duration(time);
}

function duration(seconds) {
	const parts = [[86400, "d"], [3600, "h"], [60, "min"]];
	for (const [length, name] of parts)
		if (seconds >= 2 * length)
			return Math.floor(seconds / length) + " " + name;
	return Math.floor(seconds) + " s";
}

function showCards(data) {
	const totals = data.totals;
	const last = (list) => list.length ? list[list.length - 1] : null;
	const managed = data.services.filter((s) => s.advice.verdict === "managed");
	const cpu = managed.reduce((sum, s) => sum + s.advice.cpu_share, 0) * data.uptime_seconds;
	const cards = [
		[seconds(Math.max(0, cpu)), "of CPU time saved (estimate)"],
		[seconds(totals.shadow_stall_us / 1e6), "of waiting that managing more would end"],
		[count(totals.held), "packets saved"],
		[count(last(data.history.held)) + "/s", "packets saved now"],
		[count(totals.shadow_held), "more packets could be saved"],
		[totals.bursts ? percent(totals.misses / totals.bursts) : "–", "of the messages held too long"],
		[count(totals.flows), "flows open"],
	];
	$("cards").replaceChildren(...cards.map(([value, label]) => {
		const card = element("div", undefined, "card");
		card.append(element("b", value), element("span", label));
		return card;
	}));
}

let chart = null;

function showChart(history) {
	const box = $("saved");
	const data = [history.time, history.held, history.shadow_held];
	if (!chart) {
		const style = getComputedStyle(document.documentElement);
		const colour = (name) => style.getPropertyValue(name).trim();
		const line = { stroke: colour("--line"), width: 1 };
		const axis = { stroke: colour("--dim"), grid: line, ticks: line };
		const clock = (time) => new Date(time * 1000).toTimeString().slice(0, 8);
		chart = new uPlot({
			width: box.clientWidth,
			height: CHART_HEIGHT,
			scales: { y: { range: (u, low, high) => [0, Math.max(1, high * 1.1)] } },
			axes: [{ ...axis, values: (u, ticks) => ticks.map(clock), space: 75 }, { ...axis, values: (u, ticks) => ticks.map(count), size: 60 }],
			series: [
				{ label: "at", value: (u, v) => v === null ? "–" : clock(v) },
				{ label: "saved", stroke: colour("--main"), fill: colour("--main") + "33", width: 2,
					value: (u, v) => count(v) },
				{ label: "could be saved", stroke: colour("--dim"), dash: [6, 4], width: 1.5,
					value: (u, v) => count(v) },
			],
		}, data, box);
		new ResizeObserver(() => chart.setSize({ width: box.clientWidth, height: CHART_HEIGHT })).observe(box);
	} else {
		chart.setData(data);
	}
}

function showBars(table, rows) {
	const most = Math.max(...rows.map((row) => row[1]), 1);
	const total = rows.reduce((sum, row) => sum + row[1], 0);
	if (!total) {
		const row = element("tr");
		row.append(element("td", "Nothing was held yet.", "empty"));
		table.replaceChildren(row);
		return;
	}
	table.replaceChildren(...rows.map(([label, value]) => {
		const row = element("tr"), cell = element("td"), bar = element("div", undefined, "bar");
		bar.style.width = (100 * value / most) + "%";
		if (value)
			cell.append(bar);
		row.append(element("td", label), cell, element("td", count(value) + "  " + percent(value / total)));
		return row;
	}));
}

/* Columns: [title, value for sorting, text, class ("minor": not on a narrow screen), "verdict" for one that is its own
 * class]. */
const serviceColumns = [
	["Saved", (s) => s.held, (s) => count(s.held)],
	["Port", (s) => s.port, (s) => s.port === null ? "other" : s.port],
	["Program", (s) => s.program, (s) => s.program || "–", "text"],
	["Of writes", (s) => s.held / (s.writes || 1), (s) => percent(s.held / (s.writes || 1))],
	["Too long", (s) => s.misses, (s) => count(s.misses)],
	["Writes", (s) => s.writes, (s) => count(s.writes), "minor"],
	["Messages", (s) => s.bursts, (s) => count(s.bursts), "minor"],
	["Flows", (s) => s.flows, (s) => count(s.flows), "minor"],
	["Side", (s) => s.side, (s) => s.side, "text minor"],
	["Unit", (s) => s.unit, (s) => s.unit || "–", "text minor"],
];

const adviceColumns = [
	["Advice", (s) => s.advice.verdict, (s) => s.advice.verdict, "text", "verdict"],
	["Port", (s) => s.port, (s) => s.port],
	["Program", (s) => s.program, (s) => s.program || "–", "text"],
	["Waits", (s) => s.advice.stall_seconds_per_second,
		(s) => micros(Math.round(s.advice.stall_seconds_per_burst * 1e6))],
	["Packets/s", (s) => s.advice.packets_per_second, (s) => count(s.advice.packets_per_second)],
	["CPU", (s) => s.advice.cpu_share, (s) => percent(s.advice.cpu_share), "minor"],
	["Of writes", (s) => s.advice.saved_share, (s) => percent(s.advice.saved_share), "minor"],
	["Too long/s", (s) => s.advice.misses_per_second, (s) => count(s.advice.misses_per_second), "minor"],
	["Confidence", (s) => s.advice.confidence, (s) => percent(s.advice.confidence), "minor"],
	["Side", (s) => s.side, (s) => s.side, "text minor"],
	["Id", (s) => s.advice.id, (s) => s.advice.id, "text minor"],
];

const order = { services: { column: 5, up: false }, advice: { column: 3, up: false } };
const isText = (column) => (column[3] || "").startsWith("text");

function showList(id, columns, rows, empty) {
	const table = $(id), by = order[id], head = element("tr"), value = columns[by.column][1];
	const focus = document.activeElement && document.activeElement.dataset.key;
	columns.forEach(([title, , , className], i) => {
		const cell = element("th", undefined, className);
		const button = element("button", title + (i === by.column ? (by.up ? " ▲" : " ▼") : ""));
		button.dataset.key = id + i;
		button.addEventListener("click", () => {
			by.up = i === by.column ? !by.up : isText(columns[i]);
			by.column = i;
			showList(id, columns, rows, empty);
		});
		cell.setAttribute("aria-sort", i === by.column ? (by.up ? "ascending" : "descending") : "none");
		cell.append(button);
		head.append(cell);
	});
	const sorted = [...rows].sort((a, b) => {
		const x = value(a), y = value(b), less = x < y || x === null ? -1 : x > y || y === null ? 1 : 0;
		return by.up ? less : -less;
	});
	const body = sorted.map((row) => {
		const line = element("tr");
		for (const [, , text, className, kind] of columns)
			line.append(element("td", text(row), kind ? className + " " + text(row) : className));
		return line;
	});
	if (!body.length) {
		const line = element("tr"), cell = element("td", empty, "empty text");
		cell.colSpan = columns.length;
		line.append(cell);
		body.push(line);
	}
	table.replaceChildren(head, ...body);
	const again = focus && table.querySelector(`[data-key="${focus}"]`);
	if (again)
		again.focus();
}

function show(data) {
	$("about").textContent = `${data.version}, mode ${data.mode}, up ${duration(data.uptime_seconds)}` +
		(data.sampling < 1 ? `, looking for 1 second in ${Math.round(1 / data.sampling)} to keep its budget (≈)` : "") +
		(data.reload_good ? "" : ", last reload refused: the previous policy is in force");
	showCards(data);
	showChart(data.history);
	showBars($("released"), REASONS.map((reason) => [reason, data.totals.released[reason] || 0]));
	showBars($("hold"), data.totals.hold_time_us.map(([top, n]) => [top === null ? micros(top) : "≤ " + micros(top), n]));
	showList("services", serviceColumns, data.services, "No TCP flow has been seen yet.");
	/* Those that wait come first; of those that do not, who would save most packets. */
	showList("advice", adviceColumns,
		data.services.filter((s) => s.port !== null && ["manage", "doubtful"].includes(s.advice.verdict))
			.sort((a, b) => b.advice.packets_per_second - a.advice.packets_per_second),
		"No service that is not managed would gain, of those seen so far.");
}

function problem(text) {
	$("problem").hidden = !text;
	$("problem").textContent = text;
}

async function poll() {
	try {
		const answer = await fetch("/api/overview", { cache: "no-store", signal: AbortSignal.timeout(PERIOD_MS) });
		if (!answer.ok)
			throw new Error(`the agent answered ${answer.status}`);
		show(await answer.json());
		problem("");
	} catch (error) {
		problem(`No news from the agent: ${error.message}. Trying again.`);
	}
	setTimeout(poll, document.hidden ? 6 * PERIOD_MS : PERIOD_MS);
}

poll();
