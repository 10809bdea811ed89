"""Fills a page: one self-contained HTML file, with everything it needs inside.

Whatever comes from data is escaped by the template; only the figures, the style and the script are
ours and go in as they are.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from bulkformer.files import atomic

FOLDER = Path(__file__).parent


def render_page(context: Mapping[str, Any], template: str = "page.html.j2") -> str:
    """Return the page that `template` makes of a context, such as that of `page_context`."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(
        style=Markup((FOLDER / "style.css").read_text()),
        script=Markup((FOLDER / "page.js").read_text()),
        grid_script=Markup((FOLDER / "grid.js").read_text()),
        **context,
    )


def write_page(path: Path, context: Mapping[str, Any], template: str = "page.html.j2") -> None:
    """Write the page that `template` makes of a context, whole or not at all."""
    text = render_page(context, template)
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf-8")


def pretty_json(content: Any) -> str:
    """Write a configuration so that a person can read it."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
