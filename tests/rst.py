"""Reads a reStructuredText file as Sphinx does, and fails on any warning.

docutils does not know what Sphinx adds: the directive "index", the roles "command" and "ref".
"""

import sys

from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles
from docutils.utils import SystemMessage

WARNING = 2
references = []


class Index(Directive):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        return []


def ref(role, rawtext, text, lineno, inliner, options=None, content=None):
    references.append(text.split("<")[-1].rstrip(">").strip())
    return [nodes.emphasis(rawtext, text)], []


directives.register_directive("index", Index)
roles.register_generic_role("command", nodes.strong)
roles.register_local_role("ref", ref)

with open(sys.argv[1], encoding="utf-8") as file:
    settings = {"report_level": WARNING, "halt_level": WARNING, "syntax_highlight": "none"}
    try:
        document = publish_doctree(file.read(), source_path=sys.argv[1], settings_overrides=settings)
    except SystemMessage:
        sys.exit(1)  # docutils has told what and where
# A label is explicit; a title, which Sphinx does not refer to, is not.
missing = [name for name in references if not document.nametypes.get(" ".join(name.lower().split()))]
if missing:
    sys.exit(f"{sys.argv[1]}: no label {', '.join(missing)}")
