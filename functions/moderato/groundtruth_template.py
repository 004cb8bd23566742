"""The page on which Ground Truth's annotators work, as a Liquid template of crowd elements.

https://docs.aws.amazon.com/sagemaker/latest/dg/sms-ui-template-crowd-classifier-multi-select.html
"""

import html
from collections.abc import Mapping, Sequence
from string import Template

from moderato.definitions import DEFINITIONS, Definition
from moderato.groundtruth import NONE

ELEMENT = "crowd-classifier-multi-select"
"""The element's name, under which its answers come back."""

# The text is hostile: it stands once, as an element's content, where Liquid escapes it. Neither an attribute nor a
# script has it. It keeps its line ends, and its right-to-left marks end with it.
_PAGE = Template("""\
<script src="https://assets.crowd.aws/crowd-html-elements.js"></script>
<crowd-form>
  <crowd-classifier-multi-select
    name="crowd-classifier-multi-select"
    categories="{{ task.input.labels | to_json | escape }}"
    header="Which of these does the text belong to?"
  >
    <classification-target style="white-space: pre-wrap; unicode-bidi: isolate" dir="auto">\
{{ task.input.taskObject }}</classification-target>
    <full-instructions header="The categories">
      <dl>
$full
      </dl>
    </full-instructions>
    <short-instructions>
      <p>Choose every category that the text belongs to.</p>
      <p>If it belongs to none of them, choose <b>$none</b>, and nothing else.</p>
      <p>Judge the text as it stands, not whether you agree with it.</p>
      <ul>
$short
      </ul>
    </short-instructions>
  </crowd-classifier-multi-select>
</crowd-form>
""")


def template(categories: Sequence[str], definitions: Mapping[str, Definition] = DEFINITIONS) -> str:
    """Return the worker template, with what each category means where `definitions` have it."""
    known = {name: definitions[name] for name in categories if name in definitions}
    full = "\n".join(f"        <dt>{_text(name)}</dt>\n{_explained(known[name])}" for name in known)
    short = "\n".join(f"        <li><b>{_text(name)}</b>: {_text(known[name].means)}</li>" for name in known)
    return _PAGE.substitute(none=NONE, full=full, short=short)


def _explained(definition: Definition) -> str:
    return f"        <dd>{_text(definition.means)}</dd>\n        <dd>Not: {_text(definition.leaves_out)}</dd>"


def _text(words: str) -> str:
    # A brace could begin a Liquid tag.
    return html.escape(words).replace("{", "&#123;").replace("}", "&#125;")
