# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What is printed as JSON, held against docs/schema."""
import json

from agent import ROOT
from tap import Skip, check


def valid(name, *values):
    try:
        import jsonschema
    except ImportError:
        raise Skip("python3-jsonschema is not installed") from None
    schema = json.loads((ROOT / "docs/schema" / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for value in values:
        for error in validator.iter_errors(value):
            raise AssertionError(f"{name}: {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}")


def validate(name, text, at_least=1):
    """The values of a program's output, one per line."""
    values = [json.loads(line) for line in text.splitlines()]
    check(len(values) >= at_least, f"{name}: {len(values)} lines, not {at_least}: {text[-300:]}")
    valid(name, *values)
    return values
