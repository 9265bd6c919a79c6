"""Prometheus' text format 0.0.4, read strictly; what the tests that look at /metrics share."""
import math
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\})')
NUMBER = re.compile(r"[-+]?(\d+(\.\d+)?([eE][-+]?\d+)?|Inf)\Z|NaN\Z")
SUFFIXES = ("_bucket", "_sum", "_count")


def _split(line):
    """A sample's name, its labels, and its value as text."""
    name = re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line)
    assert name, "no name: %r" % line
    rest, labels = line[name.end():], {}
    if rest.startswith("{"):
        rest = rest[1:]
        while True:
            label = LABEL.match(rest)
            assert label, "labels: %r" % line
            assert label.group(1) not in labels, "a label twice: %r" % line
            assert not label.group(1).startswith("__"), line
            labels[label.group(1)] = label.group(2)
            rest = rest[label.end():]
            if label.group(3) == "}":
                break
    assert rest.startswith(" ") and NUMBER.match(rest[1:]), "no value: %r" % line
    return name.group(0), labels, rest[1:]


def _check_histogram(name, samples):
    """Bounds rise to +Inf, counts never fall, and +Inf's is the count. `samples`: (name, labels, value)."""
    series = {}
    for sample, labels, value in samples:
        rest = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
        kinds = series.setdefault(rest, {"_bucket": [], "_sum": [], "_count": []})
        suffix = sample[len(name):]
        assert (suffix == "_bucket") == ("le" in labels), sample
        kinds[suffix].append((float(labels.get("le", "nan")), value))
    assert series, "a histogram without samples: %s" % name
    for kinds in series.values():
        assert len(kinds["_sum"]) == len(kinds["_count"]) == 1, name
        bounds = [bound for bound, _ in kinds["_bucket"]]
        counts = [count for _, count in kinds["_bucket"]]
        assert bounds == sorted(set(bounds)) and bounds[-1] == math.inf, (name, bounds)
        assert counts == sorted(counts) and counts[-1] == kinds["_count"][0][1], (name, counts)
        assert (kinds["_sum"][0][1] == 0) == (counts[-1] == 0), name


class Families:
    """What /metrics has said. `types`: {family: type}; `samples`: {'name{a="b"}': value}, as written."""

    def __init__(self, text):
        self.types, self.samples, self.help = {}, {}, {}
        self.of = {}  # family: [(name, labels, value)]
        seen = set()
        assert text == "" or text.endswith("\n"), "the last line has no end"
        family = None
        for line in text.split("\n")[:-1]:
            if line.startswith("#"):
                family = self._describe(line, family)
            else:
                self._sample(line, family, seen)
        assert set(self.help) == set(self.types), set(self.help) ^ set(self.types)
        for name, sort in self.types.items():
            if sort == "histogram":
                _check_histogram(name, self.of[name])

    def _describe(self, line, family):
        found = re.match(r"# (HELP|TYPE) (\S+) (.+)\Z", line)
        assert found and NAME.match(found.group(2)), "a comment that is none of ours: %r" % line
        word, name, text = found.groups()
        if word == "HELP":
            assert name not in self.help, "HELP twice: %r" % line
            assert not re.search(r"\\(?![\\n])", text), "an escape that is none: %r" % line
            self.help[name] = text
        else:
            assert name == family and name not in self.types, "TYPE is not behind its HELP: %r" % line
            assert text in ("counter", "gauge", "histogram"), line
            assert (text == "counter") == name.endswith("_total"), "counters, and only they, end in _total: " + line
            assert not name.endswith(SUFFIXES), "taken by histograms: " + line
            self.types[name], self.of[name] = text, []
        return name

    def _sample(self, line, family, seen):
        name, labels, value = _split(line)
        of = name
        if self.types.get(family) == "histogram":
            of = next((name[:-len(s)] for s in SUFFIXES if name.endswith(s)), name)
        assert of == family and family in self.types, "not below its own TYPE: %r" % line
        series = (name, tuple(sorted(labels.items())))
        assert series not in seen, "the same series twice: %r" % line
        seen.add(series)
        number = float(value)
        if self.types[family] != "gauge":
            assert number >= 0, "a count below zero: %r" % line
        self.samples[line[:line.rindex(" ")]] = number
        self.of[family].append((name, labels, number))

    def sum(self, family, **labels):
        """Over the series of a family that have these labels."""
        return sum(value for _, of, value in self.of[family] if labels.items() <= of.items())
