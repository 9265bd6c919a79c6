"""The page as people use it: at a phone's width and a desktop's, dark and light, with the keyboard alone, and
by what screen readers are told. Rules that hold for any page are test/page/checks.js; axe-core (from npm) is
a second opinion where `./dev page` has installed it. Not run under the sanitizers: the page is the same."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from page import *  # noqa: F403

VIEWS = ("venue", "node")
RUN_AXE = """
return axe.run(document, {resultTypes: ["violations"]}).then((result) => result.violations.map((found) =>
    `${found.id} (${found.impact}): ` + found.nodes.slice(0, 4).map((node) => node.target.join(" ")).join(", ")));
"""


class Use(SharedPageTest):
    @classmethod
    def prepare(cls):
        cls.node.post_samples()
        cls.node.post("/hive", b"no json")  # something that needs attention
        cls.node.post("/bt/unguessable", b"{}")

    def setUp(self):
        self.page.prefer()
        self.page.resize(*DESKTOP)
        self.page.run("location.hash = '#venue'")
        self.page.reload()
        self.page.wait_live()
        self.page.find(hook("event-line"))
        self.page.check("overflow")  # brings the checks into the page

    def show_drawn(self, page, view):
        page.show(view)
        page.find(hook("sender-row") if view == "node" else hook("event-line"))

    def test_widths(self):
        page = self.page
        for size in ((320, 640), PHONE, (768, 1024), DESKTOP, (1600, 900)):
            page.resize(*size)
            for view in VIEWS:
                with self.subTest(size=size, view=view):
                    self.show_drawn(page, view)
                    # At 320 px a page may be a little wide; from 360 on it may not.
                    if size[0] >= 360:
                        self.assertEqual(page.check("overflow"), [])

    def test_colours(self):
        page = self.page
        backgrounds = set()
        for dark in (False, True):
            page.prefer(dark=dark)
            backgrounds.add(page.run("return getComputedStyle(document.body).backgroundColor"))
            for size in (PHONE, DESKTOP):
                page.resize(*size)
                for view in VIEWS:
                    with self.subTest(dark=dark, size=size, view=view):
                        self.show_drawn(page, view)
                        self.assertEqual(page.check("contrast"), [])
        self.assertEqual(len(backgrounds), 2, "dark is as light")

    def test_accessibility(self):
        axe = None
        if os.path.exists(AXE):
            with open(AXE, encoding="utf-8") as script:
                axe = script.read()
        else:
            print("axe-core is not here (./dev page brings it): own checks alone")
        page = self.page
        for size in (PHONE, DESKTOP):
            page.resize(*size)
            for view in VIEWS:
                with self.subTest(size=size, view=view):
                    self.show_drawn(page, view)
                    if view == "venue":
                        page.open_lines()
                    self.assertEqual(page.check("accessibility"), [])
                    if axe:
                        self.assertEqual(page.run(axe + RUN_AXE), [])

    def walk(self, page, key):
        """Presses `key` from one end of the page to the other; what had the focus on the way."""
        most = 2 * page.run("return checks.reachable()") + 10
        for found in (None, []):  # first from wherever it is to an end, then all the way
            for _ in range(most):
                page.keys(key)
                focus = page.check("focus")
                if focus is None:
                    break
                if found is not None:
                    found.append(focus)
            else:
                self.fail("trapped at %s" % focus)
        return found

    def test_keyboard(self):
        page = self.page
        for size in (DESKTOP, PHONE):
            page.resize(*size)
            for view in VIEWS:
                with self.subTest(size=size, view=view):
                    self.show_drawn(page, view)
                    there = self.walk(page, "tab")
                    for focus in there:
                        self.assertTrue(focus["seen"], "out of sight: %s" % focus)
                        self.assertTrue(focus["marked"], "the focus does not show: %s" % focus)
                    self.assertEqual(len({f["key"] for f in there}), len(there), "met twice")
                    self.assertEqual(len(there), page.run("return checks.reachable()"),
                                     [f["path"] for f in there])
                    back = self.walk(page, "shift+tab")
                    self.assertEqual({f["key"] for f in back}, {f["key"] for f in there})

    def focus_on(self, page, selector):
        """Tabs on until that has the focus."""
        for _ in range(3 * page.run("return checks.reachable()") + 10):
            if page.run("return Boolean(document.activeElement?.matches(arguments[0]))", selector):
                return
            page.keys("tab")
        self.fail("Tab never came to " + selector)

    def test_keyboard_alone_is_enough(self):
        page = self.page
        self.focus_on(page, "nav a[data-view=node]")
        page.keys("enter")
        page.find(hook("sender-row"))
        self.assertFalse(page.run("return document.getElementById('view-node').hidden"))
        self.focus_on(page, "nav a[data-view=venue]")
        page.keys("enter")
        page.find(hook("event-line"))  # it is drawn: how far there is to go is known
        self.focus_on(page, hook("event-line", " :is(summary, button)"))
        page.keys("enter")
        page.until(lambda: page.texts(hook("event-json")), "the line's JSON")
        self.focus_on(page, hook("filter-mac"))
        page.keys("3c:2e:f9:10:aa:01", "enter")
        page.until(lambda: all("3c:2e:f9:10:aa:01" in text for text in page.texts(hook("event-line")))
                   and page.texts(hook("event-line")), "only that client's lines")

    def test_focus_stays_while_events_come(self):
        page = self.page
        self.focus_on(page, hook("event-line", " :is(summary, button)"))
        before = page.check("focus")
        for i in range(3):
            self.node.post("/lab", {"n": i, "of": "the focus test"})
            page.wait_line(events(self.node)[-1]["seq"])
        after = page.check("focus")
        self.assertEqual(before["key"], after and after["key"], "%s became %s" % (before, after))

    def test_reduced_motion(self):
        page = self.page
        page.prefer(still=True)
        for view in VIEWS:
            self.show_drawn(page, view)
            self.assertEqual(page.run("return document.getAnimations().filter(a => a.playState === 'running' &&"
                                      " a.effect.getComputedTiming().duration > 10).length"), 0)


if __name__ == "__main__":
    main()
