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
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "pattern": "^/rollcall(/[A-Za-z0-9._-]+)?$"},
        "type": {"type": "string", "pattern": "^rollcall[.](gap|presence[.][A-Za-z0-9._-]+)$"},
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
NOTES = {"$schema", "$id", "$defs", "title", "description"}
WORDS = NOTES | {
    "$ref", "oneOf", "type", "const", "enum", "pattern", "minLength", "maxLength", "minimum",
    "required", "minProperties", "dependentRequired", "additionalProperties", "properties", "items",
}


class Invalid(AssertionError):
    pass


def need(condition, where, what):
    if not condition:
        raise Invalid("%s: %s" % (where or "(root)", what))


def matches(pattern, text):
    """Python's $ also fits in front of a last newline; a schema's (ECMA-262) does not."""
    assert "\\$" not in pattern
    return re.search(pattern.replace("$", r"\Z"), text)


def same(one, other):
    """JSON's equality: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def check_rules(rules):
    """Refuses a schema with a keyword that is not known here, wherever in it."""
    if isinstance(rules, bool):
        return
    for word in rules:
        if word not in WORDS:
            raise ValueError("schema.py does not know " + word)
    if rules.get("additionalProperties", False) is not False:
        raise ValueError("schema.py knows additionalProperties only as false")
    parts = list(rules.get("properties", {}).values()) + list(rules.get("$defs", {}).values())
    for part in parts + rules.get("oneOf", []) + [rules.get("items", True)]:
        check_rules(part)


def check_object(value, rules, root, where):
    for name in rules.get("required", ()):
        need(name in value, where, "has no " + name)
    need(len(value) >= rules.get("minProperties", 0), where, "is empty")
    for name, others in rules.get("dependentRequired", {}).items():
        for other in others:
            need(name not in value or other in value, where, "%s without %s" % (name, other))
    known = rules.get("properties", {})
    for name in value:
        need("additionalProperties" not in rules or name in known, where, "has " + name)
        if name in known:
            validate(value[name], known[name], root, where + "." + name)


def check_text(value, rules, where):
    need("pattern" not in rules or matches(rules["pattern"], value), where,
         "not %s: %r" % (rules.get("pattern"), value))
    need(len(value) >= rules.get("minLength", 0), where, "too short")
    need(len(value) <= rules.get("maxLength", len(value)), where, "too long")


def check_one_of(value, rules, root, where):
    problems = []
    for one in rules:
        try:
            validate(value, one, root, where)
        except Invalid as problem:
            problems.append(str(problem))
    need(len(problems) == len(rules) - 1, where, "not one of: " + "; ".join(problems))


def validate(value, rules, root, where=""):
    """Raises Invalid where the value is not what the rules (a schema in `root`) say."""
    if isinstance(rules, bool):
        need(rules, where, "nothing may stand here")
        return
    if "$ref" in rules:
        target = root
        for part in rules["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        validate(value, target, root, where)
    if "oneOf" in rules:
        check_one_of(value, rules["oneOf"], root, where)
    if "type" in rules:
        names = rules["type"] if isinstance(rules["type"], list) else [rules["type"]]
        need(any(TYPES[name](value) for name in names), where, "no %s: %r" % (names, value))
    if "const" in rules:
        need(same(value, rules["const"]), where, "not %r" % rules["const"])
    if "enum" in rules:
        need(any(same(value, one) for one in rules["enum"]), where, "not one of them: %r" % value)
    if TYPES["number"](value):
        need(value >= rules.get("minimum", value), where, "below %r" % rules.get("minimum"))
    if isinstance(value, str):
        check_text(value, rules, where)
    if isinstance(value, dict):
        check_object(value, rules, root, where)
    if isinstance(value, list) and "items" in rules:
        for i, item in enumerate(value):
            validate(item, rules["items"], root, "%s[%d]" % (where, i))


check_rules(EVENT)
check_rules(CLOUDEVENT)
ORDER = list(EVENT["$defs"]["event"]["properties"])


def check(line):
    """Raises Invalid where a line (parsed) is not what the schema says, or out of order."""
    validate(line, EVENT, EVENT)
    names = [ORDER.index(name) for name in line if name != "gap"]
    need(names == sorted(names), "", "members out of order")


def check_cloudevent(line):
    validate(line, CLOUDEVENT, CLOUDEVENT)
    check(line["data"])
