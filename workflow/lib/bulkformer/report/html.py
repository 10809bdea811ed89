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
        **context,
    )


def pretty_json(content: Any) -> str:
    """Write a configuration so that a person can read it."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
