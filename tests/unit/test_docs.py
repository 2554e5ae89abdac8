#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""Man pages, completion and docs/control.md say what the programs' own tables say, no more and no less."""
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

from run_tests import run_tests

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("BUILD", "build")
AUTOCORK, AUTOCORKD = f"{BUILD}/autocork", f"{BUILD}/autocorkd"
NOWHERE = "/nonexistent/autocork.sock"


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


def help_of(*words):
    done = run(*words, "--help")
    assert done.returncode == 0, f"{words} --help: exit code {done.returncode}"
    return done.stdout


def options_of(text):
    """Long options of a --help text."""
    return {o for line in text.splitlines() if re.match(r" +(-.,\s)?-", line)
            for o in re.findall(r"(?:^ +|, )(?:-., )?--([a-z_][a-z0-9_-]*)", line)}


def commands_of(text):
    tail = text[text.index("\nCommands"):] if "\nCommands" in text else ""
    return re.findall(r"^  ([a-z][a-z-]*)  ", tail, re.M)


def walk(*words):
    """Every command with its help."""
    for name in commands_of(help_of(*words)):
        yield (*words, name)
        yield from walk(*words, name)


def page(path):
    return open(path, encoding="utf-8").read().replace("\\-", "-")


def examples_come_before_options():
    for words in [(AUTOCORK,), (AUTOCORKD,), *walk(AUTOCORK)]:
        text = help_of(*words)
        assert "Examples:\n" in text, f"{words}: no examples"
        assert text.index("Examples:\n") < text.index("--help"), f"{words}: options before examples"


def every_command_takes_the_common_options():
    for words in walk(AUTOCORK):
        missing = {"json", "control", "help", "version"} - options_of(help_of(*words))
        assert not missing, f"{words}: {missing}"


def every_command_is_on_the_page():
    text = page(f"{BUILD}/man/autocork.1")
    for words in walk(AUTOCORK):
        name = " ".join(words[1:])
        assert re.search(rf"^\.Ss {name}\b", text, re.M), f"autocork.1 does not have {name}"
        section = re.split(rf"^\.Ss {name}\b", text, 1, re.M)[1].split("\n.Ss ")[0]
        for option in options_of(help_of(*words)) - {"json", "control", "help", "usage", "version"}:
            assert f"--{option}" in section, f"autocork.1: {name} --{option} is missing"


def agent_page_has_the_agents_options():
    documented = set(re.findall(r"^\.It (?:Fl . , -|Fl -)([a-z-]+)", page("docs/man/autocorkd.8"), re.M))
    offered = options_of(help_of(AUTOCORKD))
    assert documented == offered, f"only in autocorkd.8: {documented - offered}; only offered: {offered - documented}"


def configuration_page_has_every_key():
    shown = json.loads(run(AUTOCORK, "policy", "show", "--json", "--control", NOWHERE).stdout)
    keys = {**shown["policies"][0]["keys"], **shown["agent"], **shown["fastpath"]}
    text = page("docs/man/autocork.conf.5")
    documented = set(re.findall(r"^\.It Ic ([a-z_]+)$", text, re.M))
    assert documented == set(keys), f"differ: {documented ^ set(keys)}"


def pages_are_well_formed():
    for path in [*glob.glob("docs/man/*.[1578]"), f"{BUILD}/man/autocork.1"]:
        done = subprocess.run(["groff", "-mdoc", "-Tutf8", "-ww", "-z", path], capture_output=True, text=True)
        # groff 1.22's own mdoc macros warn about their substrings; no page can help it.
        errors = [l for l in done.stderr.splitlines() if "start index of substring" not in l]
        assert not errors, f"{path}: {errors[0]}"


def completion_offers_what_there_is():
    def complete(*words):
        line = " ".join(f"'{w}'" for w in words)
        script = (f"source packaging/completion.bash; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _autocork; "
                  "printf '%s\\n' \"${COMPREPLY[@]}\"")
        return set(run("bash", "-c", script).stdout.split())

    top = commands_of(help_of(AUTOCORK))
    assert complete(AUTOCORK, "") == set(top), complete(AUTOCORK, "")
    assert complete(AUTOCORK, "--control", "x", "policy", "") == {"check", "show"}
    assert complete(AUTOCORK, "sta") == {"status"}
    for words in walk(AUTOCORK):
        offered = {o[2:] for o in complete(*words, "--")}
        wanted = options_of(help_of(*words))
        assert offered == wanted, f"{words}: {offered ^ wanted}"
    assert {o[2:] for o in complete(AUTOCORKD, "--")} == options_of(help_of(AUTOCORKD))
    assert complete(AUTOCORKD, "--log-level", "d") == {"debug"}


def operations_are_documented():
    ops = re.findall(r'^\t\{ "([a-z_]+)", CONTROL_', open("agent/parts/ops.c").read(), re.M)
    assert len(ops) >= 6, ops
    text = open("docs/control.md").read()
    for op in ops:
        assert re.search(rf"^\| `{op}` \|", text, re.M), f"docs/control.md does not have {op}"


def reasons_are_documented():
    header, text = open("include/autocork/flow.h").read(), open("docs/control.md").read()
    for table in "AC_REASONS", "AC_REFUSALS":
        rows = re.findall(r'X\((\w+), "(\w+)", "(.*?)"\)',
                          re.search(rf"#define {table}\(X\)(.*?)\n\n", header, re.S)[1])
        assert len(rows) > 5, table
        for name, why in (row[1:] for row in rows if row[0] != "NONE"):
            assert f"\n| `{name}` | {why} |\n" in text, f"docs/control.md, Reasons: {name}: {why}"


def counters_are_documented():
    """include/autocork/counters.h has them all; each is in the schemas, and in the table of docs/control.md."""
    rows = re.findall(r'^\tX\((\w+), (\w+)(?:, "(\w+)")?', open("include/autocork/counters.h").read(), re.M)
    names = {json_name if kind == "SPREAD" else name for kind, name, json_name in rows if kind != "PART"}
    assert len(names) > 40, names
    numbers = {name for kind, name, _ in rows if kind in ("COUNT", "TIME", "SUM", "OPEN")} | {"managed"}
    schema = json.load(open("docs/schema/services.json"))
    totals = json.load(open("docs/schema/status.json"))["properties"]["totals"]
    shown = {"number", "port", "side", "program", "cgroup"}
    names |= {"managed", "mean_hold_us"}
    for where, members, wanted in (("services", schema, names), ("status: totals", totals, numbers)):
        for had in set(members["properties"]) - shown, set(members["required"]) - shown:
            assert had == wanted, f"docs/schema, {where}: {had ^ wanted}"
    table = open("docs/control.md").read().split("\n### services\n")[1].split("\n### ")[0]
    documented = {name for line in re.findall(r"^\| (`.*?) \|", table, re.M) for name in re.findall(r"`(\w+)`", line)}
    assert documented - shown == names, f"docs/control.md, services: {(documented - shown) ^ names}"


def one_metrics_port():
    """Whatever names the metrics page in the docs and what is deployed names the port of agent/lib/paths.h."""
    port = re.search(r'#define AUTOCORK_METRICS_PORT "(\d+)"', open("agent/lib/paths.h").read())[1]
    named = set()
    for path in ["README.md", *(path for folder in ("docs", "deploy", "packaging", "debian")
                                for path in glob.glob(f"{folder}/**", recursive=True))]:
        if os.path.isfile(path):
            found = re.findall(r"(?:127\.0\.0\.1|\[::1\]|localhost|autocork[a-z.-]*):(\d{4,5})\b",
                               open(path, errors="replace").read())
            named |= {(path, one) for one in found}
    others = {(path, one) for path, one in named if one in ("9464", "9737") or "metrics" in path and one != port}
    assert not others, others
    assert ("docs/metrics.md", port) in named, named


def wrong_usage_is_json_too():
    for words in [(AUTOCORK, "nonsense"), (AUTOCORK, "status", "--nonsense"), (AUTOCORK, "flows", "-p", "x"),
                  (AUTOCORK, "stats"), (AUTOCORK, "trial"), (AUTOCORK, "steer", "attach"), (AUTOCORK, "policy", "x")]:
        done = run(*words, "--json")
        error = json.loads(done.stdout)["error"]
        assert done.returncode == error["exit_code"] == 2, f"{words}: {done}"
        assert error["message"].splitlines()[0] in done.stderr and "\n" not in error["message"], f"{words}: {done}"
    done = run(AUTOCORK, "policy", "show", "--json", "--help")
    assert done.returncode == 0 and done.stdout.startswith("Usage") and not done.stderr, done


def every_page_is_listed():
    text = open("README.md", encoding="utf-8").read()
    missing = [path for path in glob.glob("docs/*.md") if path not in text]
    assert not missing, f"README.md does not list {missing}"
    named = set(re.findall(r"docs/[a-z-]+\.md", text))
    assert all(os.path.exists(path) for path in named), f"README.md lists pages that are not there: {named}"


def prose_fits_120_columns():
    """But for tables, drawings and code: a line of theirs cannot be broken."""
    for path in [*glob.glob("*.md"), *glob.glob("docs/*.md")]:
        text = re.sub(r"^```.*?^```", "", open(path, encoding="utf-8").read(), flags=re.M | re.S)
        long = [line for line in text.splitlines() if len(line) > 120 and not re.match(r" *\||    ", line)]
        assert not long, f"{path}: over 120 columns: {long[0]}"


def every_command_on_the_pages_is_understood():
    """Its options and their values; a wrong one comes before --help. Placeholders stand for one value."""
    count = 0
    for path in ["README.md", *glob.glob("docs/*.md")]:
        text = open(path, encoding="utf-8").read()
        name = r"autocork(?:d|-fastpath)? "
        found = re.findall(rf"^ {{4,}}({name}.*)$", text, re.M) + re.findall(rf"`({name}[^`]+)`", text.replace("\n", " "))
        for line in {re.split(r"\s+#|\s{2,}| [|>] | && | -- ", line)[0].strip() for line in found}:
            words = [re.sub("^N$", "1", word) for word in shlex.split(line)]
            if re.search("[\\[…]", line) or not os.path.exists(f"build/{words[0]}"):
                continue
            done = run(f"build/{words[0]}", *words[1:], "--help")
            # An option that is named without its value takes --help for it.
            assert done.returncode == 0 or "--help: " in done.stderr, f"{path}: {line}: {done}"
            count += 1
    assert count > 80, f"only {count} commands"


def every_commands_json_has_a_schema():
    names = ["-".join(words[1:]) for words in walk(AUTOCORK) if not commands_of(help_of(*words))]
    names.remove("run")  # prints what its program does
    for name in names:
        schema = json.load(open(f"docs/schema/{name}.json", encoding="utf-8"))
        assert schema["title"].startswith("autocork " + name.replace("-", " ")), name


def output_fits_its_schema():
    try:
        import jsonschema
    except ImportError:
        return "python3-jsonschema is not installed"
    traces = sorted(glob.glob("tests/unit/traces/*.trace"))
    assert traces, "no traces"
    for name, words in {"replay": ("replay", traces[0]), "fastpath": ("fastpath",), "policy-show": ("policy", "show"),
                        "policy-check": ("policy", "check", *sorted(glob.glob("docs/examples/*/*.conf"))),
                        "error": ("replay", "/nonexistent"), }.items():
        schema = json.load(open(f"docs/schema/{name}.json", encoding="utf-8"))
        value = json.loads(run(AUTOCORK, *words, "--json", "--control", NOWHERE).stdout)
        for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
            raise AssertionError(f"{name}: {error.message[:200]}")
    return None


def wrong_usage_ends_with_2():
    for words in [(AUTOCORK,), (AUTOCORK, "nonsense"), (AUTOCORK, "status", "--nonsense"),
                  (AUTOCORK, "flows", "-p", "x"),
                  (AUTOCORK, "policy"), (AUTOCORK, "policy", "nonsense"), (AUTOCORK, "status", "--watch=0"),
                  (AUTOCORKD, "--log-level", "loud"), (AUTOCORKD, "word")]:
        done = run(*words)
        assert done.returncode == 2, f"{words}: {done.returncode}"
        assert done.stderr and not done.stdout, f"{words}: {done}"


def without_an_agent_the_next_step_is_named():
    for command in ("status", "services", "flows", "reload"):
        done = run(AUTOCORK, command, "--control", NOWHERE)
        assert done.returncode == 1 and NOWHERE in done.stderr and "start it" in done.stderr, done
        done = run(AUTOCORK, command, "--control", NOWHERE, "--json")
        error = json.loads(done.stdout)["error"]
        assert done.returncode == error["exit_code"] == 1 and NOWHERE in error["message"], done
        assert NOWHERE in done.stderr, f"with --json nothing is on standard error: {done}"


def a_full_disk_is_noticed():
    with open("/dev/full", "w") as full:
        done = subprocess.run([AUTOCORK, "policy", "show", "--policy-dir", "docs/examples/web"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr, done


def example_policies_are_valid():
    files = glob.glob("docs/examples/**/*.conf", recursive=True)
    assert len(files) >= 3, files
    for path in files:
        done = run(AUTOCORK, "policy", "check", path)
        assert done.returncode == 0, done


def invalid_policy_ends_with_3():
    done = run(AUTOCORK, "policy", "check", "--json", "README.md")
    assert done.returncode == 3 and json.loads(done.stdout)["valid"] is False, done
    done = run(AUTOCORK, "policy", "check", "README.md")
    assert done.returncode == 3 and re.match(r"README\.md:\d+: ", done.stderr), done


def prometheus_takes_the_configuration_of_the_page():
    if not shutil.which("promtool"):
        return "promtool is not installed (package prometheus)"
    block = re.search(r"^```yaml\n(.*?)^```", page("docs/deploy.md"), re.M | re.S)[1]
    # Debian builds Prometheus without the discovery of Kubernetes.
    block, replaced = re.subn(r"    kubernetes_sd_configs:\n(?:      .*\n)+?(?=    \S)",
                              "    static_configs: [{ targets: [localhost] }]\n", block)
    assert replaced == 1, block
    with tempfile.TemporaryDirectory() as folder:
        for name in re.findall(r"^  - (\S+\.yml)$", block, re.M):
            shutil.copy(f"docs/{name}", folder)
        with open(f"{folder}/prometheus.yml", "w", encoding="utf-8") as file:
            file.write(block)
        done = run("promtool", "check", "config", f"{folder}/prometheus.yml")
    assert done.returncode == 0 and done.stdout.count("rules found") == 3, done
    return None


def commands_of_deployment_exist():
    """Every `autocork ...` on the page is a command with these options."""
    text = page("docs/deploy.md")
    commands = re.findall(r"\bautocork ((?:advise|trial|status|doctor|explain|responses|policy)[^`'\n>|;&]*)", text)
    assert len(commands) >= 4, commands
    for command in commands:
        words = command.split()
        known = options_of(help_of(AUTOCORK, words[0]))
        assert {word[2:] for word in words if word.startswith("--")} <= known, command


def fleet_page_has_every_alert():
    text = page("docs/deploy.md")
    for alert in re.findall(r"- alert: (\w+)", page("docs/fleet-alerts.yml")):
        assert f"| `{alert}` |" in text, f"docs/deploy.md does not have {alert}"
    per_host = len(re.findall(r"record: instance:", page("docs/recording-rules.yml")))
    assert f"| upstream, per host | {per_host} (" in text and per_host < 100, per_host


TESTS = [examples_come_before_options, every_command_takes_the_common_options, every_command_is_on_the_page,
         agent_page_has_the_agents_options, configuration_page_has_every_key, pages_are_well_formed,
         completion_offers_what_there_is, operations_are_documented, reasons_are_documented, counters_are_documented,
         one_metrics_port, every_page_is_listed, prose_fits_120_columns, every_command_on_the_pages_is_understood,
         every_commands_json_has_a_schema, output_fits_its_schema, wrong_usage_ends_with_2, wrong_usage_is_json_too,
         without_an_agent_the_next_step_is_named, a_full_disk_is_noticed, example_policies_are_valid,
         invalid_policy_ends_with_3, prometheus_takes_the_configuration_of_the_page, commands_of_deployment_exist,
         fleet_page_has_every_alert]


sys.exit(run_tests(TESTS))
