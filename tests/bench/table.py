# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The result table as text and as Markdown."""
WIDTH = 120	# of prose
HEAD = ("work", "figure", "against", "without", "managed", "ratio", "must", "ok")


def number(value):
    if value is None:
        return "-"
    if value and abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"


def cells(row):
    return (row.work, row.figure, row.against if row.base is not None else "-", number(row.base), number(row.managed),
            f"{row.ratio:.3f}" if row.ratio is not None else "-", str(row.must) if row.must else "-",
            {True: "yes", False: "NO", None: "-"}[row.ok])


def text(rows):
    lines = [HEAD] + [cells(row) for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.rjust(width) if 3 <= i <= 5 else cell.ljust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))).rstrip() for line in lines)


def plain(lines):
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def markdown(rows):
    return plain([HEAD, ("---",) * 3 + ("---:",) * 3 + ("---",) * 2, *map(cells, rows)])


def write_between(path, begin, end, body):
    """Puts body between two marker lines of a file, whatever was there."""
    old = path.read_text()
    head, rest = old.split(begin, 1)
    tail = rest.split(end, 1)[1]
    path.write_text(f"{head}{begin}\n{body}\n{end}{tail}")
