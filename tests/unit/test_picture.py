#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""The picture of README.md is what docs/picture/draw makes of the recording beside it, small, and readable."""
import importlib.machinery
import importlib.util
import json
import pathlib
import sys
import xml.etree.ElementTree

from run_tests import run_tests

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/picture"
CAST, SVG = FOLDER / "try-and-trial.cast", FOLDER / "try-and-trial.svg"
sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("draw", str(FOLDER / "draw"))
draw = importlib.util.module_from_spec(importlib.util.spec_from_loader("draw", LOADER))
LOADER.exec_module(draw)


def recording(*events):
    head = {"version": 2, "width": 80, "height": 24, "title": "a < b"}
    return "\n".join(map(json.dumps, [head, *([at, "o", text] for at, text in events)]))


def rows(text):
    """What is in each row at the end."""
    found, end = draw.lives(text)
    return {row: "".join(cell for cell, _ in cells) for row, cells, _, to in found if to == end}


def the_picture_is_of_the_recording():
    assert draw.draw(CAST.read_text(encoding="utf-8")) == SVG.read_text(encoding="utf-8"), "run docs/picture/record"


def it_is_small_and_shown_at_the_top():
    assert SVG.stat().st_size < 100_000, SVG.stat().st_size
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/picture/try-and-trial.svg)" in readme[:readme.index("\n## ")]


def no_line_is_cut():
    for _, cells, *_ in draw.lives(CAST.read_text(encoding="utf-8"))[0]:
        assert len(cells) <= 80, "".join(cell for cell, _ in cells)


def it_shows_both_commands_and_what_they_found():
    end = "\n".join(text for _, text in sorted(rows(CAST.read_text(encoding="utf-8")).items()))
    for word in "# autocork try", "# autocork trial --port", "on port 8000", "BEFORE", "Nothing got worse":
        assert word in end, (word, end)


def a_line_that_is_written_over_has_been_there():
    text = recording((0, "one"), (0.1, "\r\033[Ktwo\r\n"), (0.2, "\033[32mgood\033[0m <"))
    assert rows(text) == {0: "two", 1: "good <"}, rows(text)
    assert [(row, "".join(c for c, _ in cells)) for row, cells, _, to in draw.lives(text)[0]][0] == (0, "one")
    picture = draw.draw(text)
    xml.etree.ElementTree.fromstring(picture)
    assert 'class="good"' in picture and "&lt;" in picture and 'class="past"' in picture, picture


def waiting_is_shortened():
    ends = [draw.lives(recording((0, "a"), (wait, "\rb")))[1] for wait in (0.05, 30, 60)]
    assert ends[0] < ends[1] == ends[2], ends


sys.exit(run_tests([the_picture_is_of_the_recording, it_is_small_and_shown_at_the_top, no_line_is_cut,
                    it_shows_both_commands_and_what_they_found, a_line_that_is_written_over_has_been_there,
                    waiting_is_shortened]))
