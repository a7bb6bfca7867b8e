"""A page, as the tests read it."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """The elements of a page, its visible words, and its scripts."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.words, self.scripts, self._inside = [], [], [], None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words.append(data.strip())

    @property
    def text(self):
        return " ".join(filter(None, self.words))

    def all(self, name):
        return [attributes for tag, attributes in self.elements if tag == name]

    def data(self):
        found = [script for (attributes, script) in zip(self.all("script"), self.scripts, strict=True) if attributes]
        *runs, curves = [json.loads(script) for script in found]
        return curves, *runs
