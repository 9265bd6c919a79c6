"""JSON Schema (draft 2020-12) as far as event.schema.json goes, and CloudEvents 1.0. A keyword that is
not known here is an error, so that no rule is passed over."""
import json
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
with open(os.path.join(ROOT, "src", "event.schema.json")) as text:
    EVENT = json.load(text)

RFC3339 = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.]\d+)?(Z|[+-]\d\d:\d\d)$"
# CloudEvents 1.0.2, sections 3.1 and 3.2; attribute names are lower-case letters and digits.
CLOUDEVENT = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "additionalProperties": False,
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "pattern": "."},
        "source": {"type": "string", "pattern": "^[A-Za-z0-9/._~-]+$"},
        "type": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$"},
        "time": {"type": "string", "pattern": RFC3339},
        "datacontenttype": {"const": "application/json"},
        "data": {"type": "object"},
    },
}

TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
}
WORDS = {"$schema", "$id", "$defs", "title", "description", "properties"}


class Invalid(AssertionError):
    pass


def need(condition, where, what):
    if not condition:
        raise Invalid("%s: %s" % (where or "(root)", what))


def validate(value, rules, root, where=""):
    if rules is True:
        return
    for word, rule in rules.items():
        if word in WORDS:
            continue
        if word == "$ref":
            target = root
            for part in rule.removeprefix("#/").split("/"):
                target = target[part]
            validate(value, target, root, where)
        elif word == "oneOf":
            problems = []
            for one in rule:
                try:
                    validate(value, one, root, where)
                except Invalid as problem:
                    problems.append(str(problem))
            need(len(problems) == len(rule) - 1, where, "not one of: " + "; ".join(problems))
        elif word == "type":
            names = rule if isinstance(rule, list) else [rule]
            need(any(TYPES[name](value) for name in names), where, "no %s: %r" % (rule, value))
        elif word == "const":
            need(value == rule and type(value) is type(rule), where, "not %r" % rule)
        elif word == "enum":
            need(value in rule, where, "none of %r: %r" % (rule, value))
        elif word == "pattern":
            need(not isinstance(value, str) or re.search(rule, value), where, "not %s: %r" % (rule, value))
        elif word == "maxLength":
            need(not isinstance(value, str) or len(value) <= rule, where, "longer than %d" % rule)
        elif word == "minimum":
            need(not TYPES["number"](value) or value >= rule, where, "below %r" % rule)
        elif word == "required":
            for name in rule:
                need(not isinstance(value, dict) or name in value, where, "has no " + name)
        elif word == "minProperties":
            need(not isinstance(value, dict) or len(value) >= rule, where, "is empty")
        elif word == "dependentRequired":
            for name, others in rule.items():
                for other in others:
                    need(not isinstance(value, dict) or name not in value or other in value, where,
                         "%s without %s" % (name, other))
        elif word == "additionalProperties":
            assert rule is False
            for name in value if isinstance(value, dict) else ():
                need(name in rules["properties"], where, "has " + name)
        else:
            raise ValueError("schema.py does not know " + word)
    for name, rule in rules.get("properties", {}).items():
        if isinstance(value, dict) and name in value:
            validate(value[name], rule, root, where + "." + name)


ORDER = list(EVENT["$defs"]["event"]["properties"])


def check(line):
    """Raises Invalid where a line (parsed) is not what the schema says, or out of order."""
    validate(line, EVENT, EVENT)
    names = [ORDER.index(name) for name in line if name != "gap"]
    need(names == sorted(names), "", "members out of order")


def check_cloudevent(line):
    validate(line, CLOUDEVENT, CLOUDEVENT)
    check(line["data"])
