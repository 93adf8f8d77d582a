# SPDX-License-Identifier: Apache-2.0
"""The manual pages and --help say the same: every option and every command is in both, in the same words."""
import re
import shutil
import subprocess

import pytest
from lab import BIN, SOURCE

ABOVE_DATAPATH = True  # see conftest.py
PAGES = {name: SOURCE / "docs/man" / f"{name}.8" for name in ("vswitchd", "vsctl", "reflectord")}
NAME = r"[a-z][a-z-]*"


def help_of(program):
    return subprocess.run([BIN / program, "--help"], capture_output=True, text=True, check=True).stdout


def plain(line):
    """A line of man(7) with inline fonts, as it is printed."""
    return re.sub(r"\\f[BIR]", "", line).replace(r"\-", "-").replace(r"\(aq", "'").replace(r"\e", "\\")


def sections(page):
    """{title of a section: its lines}"""
    found = {}
    for line in page.read_text().splitlines():
        if line.startswith(".SH "):
            found[line[4:]] = []
        elif found:
            list(found.values())[-1].append(line)
    return found


def tags(lines):
    """What .TP and .TQ give a paragraph of its own."""
    return [plain(line) for before, line in zip(lines, lines[1:]) if before in (".TP", ".TQ")]


def man_options(page):
    """{long name: (short name, what its value is called)}"""
    found = {}
    for tag in tags(sections(page)["OPTIONS"]):
        short, long, value = re.fullmatch(rf"(?:(-\w), )?(--{NAME})(?:[ =](\S+)|\[=\S+\])?", tag).groups()
        found[long] = (short, value)
    return found


def help_options(text):
    found = re.findall(rf"^  (?:(-\w) \[ )?(--{NAME})(?: \])?(?: (\S+))?", text, re.M)
    return {long: (short or None, value or None) for short, long, value in found}


@pytest.mark.parametrize("program", PAGES)
def test_options(program):
    text = help_of(program)
    if program == "vsctl":  # those of commands are before "Options:" and belong to their commands
        text = text[text.index("\nOptions:\n"):]
    ours, theirs = man_options(PAGES[program]), help_options(text)
    assert len(ours) > (8 if program == "reflectord" else 15)
    assert ours.keys() == theirs.keys()
    # An optional value is in brackets on the page, and --help has it like others or, without a name, as "arg".
    optional = set(re.findall(rf"(--{NAME})\[=", plain(PAGES[program].read_text())))
    for name in ours.keys() - optional:
        assert ours[name] == theirs[name], name


def help_commands(text):
    """The commands as --help writes them: all before two blanks, those of one line at its commas."""
    found = []
    for paragraph in text[:text.index("\nOptions:\n")].split("\n\n"):
        title, *lines = paragraph.splitlines()
        if title.startswith((" ", "Usage:", "A tour:")) or not title.endswith(":"):
            continue
        for line in lines:
            if line.startswith("  ") and line[2] != " ":
                found += re.split(r" {2,}", line.strip())[0].split(", ")
    return found


def test_commands():
    ours = tags(sections(PAGES["vsctl"])["COMMANDS"])
    theirs = help_commands(help_of("vsctl"))
    assert len(ours) > 60
    missing = [c for c in theirs if not any(c == tag or c.startswith(tag + " make ") for tag in ours)]
    assert not missing, "in --help and not on the page, or in other words"
    surplus = [tag for tag in ours if not any(c == tag or c.startswith(tag + " make ") for c in theirs)]
    assert not surplus, "on the page and not in --help, or in other words"


@pytest.mark.parametrize("program", PAGES)
def test_exit_status_and_files(program):
    page, text = sections(PAGES[program]), help_of(program)
    for tag in tags(page["EXIT STATUS"]):
        assert re.search(rf"\b{tag}\b", text[text.lower().index("exit"):])
    for name in re.findall(r"(?:db\.sock|vswitchd\.\w+)(?:\.ctl)?", "\n".join(page["FILES"])):
        assert name in text
    # What --help knows of files is on the page.
    for name in re.findall(r"(?:db\.sock|vswitchd\.(?:PID\.ctl|pid|lock))", text):
        assert name in "\n".join(page["FILES"]), name


@pytest.mark.parametrize("program", PAGES)
@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
def test_groff_has_nothing_to_say(program):
    done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", PAGES[program]], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{program.upper()}(8)" in done.stdout
