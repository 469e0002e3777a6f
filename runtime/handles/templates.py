"""Templates: named, stored presets for new sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.session.state.limits import merged
from greenroom.storage.codec.records import Json, Value, unpack_value
from greenroom.storage.common.arguments import as_mapping
from greenroom.storage.common.checked_call import checked
from greenroom.storage.errors import ValidationError, shown

from .scope import Scope

if TYPE_CHECKING:
    from greenroom.runtime.config.config import SessionConfig

__all__ = ["SCOPE", "Template", "Templates"]

_LATE: Final = {"SessionConfig": "greenroom.runtime.config.config"}
SCOPE: Final = "templates"
"""The scope that holds the templates as variables, so that they are durable and journaled like everything else."""


@dataclass(frozen=True, slots=True)
class Template:
    """A preset for new sessions. Arguments of `create_session` override it."""

    name: str
    name_prefix: str = ""
    """Prefix for the name of a session; the whole name if the caller gives none."""
    tags: tuple[str, ...] = ()
    """Tags added to the session's own."""
    metadata: dict[str, Json] = field(default_factory=dict)
    config: dict[str, Json] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Template {shown(self.name)}>"

    def to_dict(self) -> dict[str, Value]:
        """Return the preset as JSON values."""
        return {
            "name": self.name,
            "name_prefix": self.name_prefix,
            "tags": list(self.tags),
            "metadata": dict(self.metadata),
            "config": dict(self.config),
        }

    @checked
    def named(self, name: str | None) -> str | None:
        """Return the name of a new session for which the caller gives `name`."""
        return (self.name_prefix + name) if name is not None else (self.name_prefix or None)

    @checked
    def tagged(self, tags: Iterable[str]) -> list[str]:
        return list(dict.fromkeys([*self.tags, *m.tag_list(tags)]))

    @checked
    def described(self, metadata: object) -> dict[str, Value]:
        return {**self.metadata, **unpack_value(m.metadata_bytes(metadata))}

    @checked
    def configured(self, config: SessionConfig | Mapping[str, Any] | None) -> dict[str, Any]:
        from greenroom.runtime.config.config import session_overrides

        given = session_overrides(config) if config is not None else {}
        return merged(self.config, given)


_FIELDS: Final = ("name_prefix", "tags", "metadata", "config")


class Templates:
    """The templates of a store.

    Example:
        ```py
        rt.templates.save("research", {"tags": ["research"], "config": {"max_artifacts": 50}})
        s = rt.create_session("whales", template="research")
        ```
    """

    def __init__(self, scope: Callable[[], Scope]) -> None:
        self._scope = scope

    def __repr__(self) -> str:
        return "<Templates>"

    def save(self, name: str, preset: Mapping[str, object]) -> Template:
        """Store a preset under a name, replacing an earlier one.

        Keys: name_prefix, tags, metadata, config (settings of SessionConfig). Raises ValidationError.
        """
        name = m.GetVariable(name).key  # names follow the rules of keys
        preset = as_mapping("template", preset)
        unknown = [str(key) for key in preset if key not in _FIELDS]
        if unknown:
            raise ValidationError(
                f"a template has {', '.join(_FIELDS)}, and no {unknown[0][:64]!r}", field=unknown[0][:64]
            )
        from greenroom.runtime.config.config import session_overrides

        prefix = preset.get("name_prefix") or ""
        if not isinstance(prefix, str) or len(prefix) > m.MAX_NAME:
            raise ValidationError(f"name_prefix: text of at most {m.MAX_NAME} characters", field="name_prefix")
        template = Template(
            name,
            prefix,
            tuple(m.tag_list(preset.get("tags") or ())),
            unpack_value(m.metadata_bytes(preset.get("metadata"))),
            session_overrides(preset.get("config") or {}),
        )
        self._scope().set(name, template.to_dict())
        return template

    @checked
    def get(self, name: str) -> Template:
        """Return the template with this name. Raises ValidationError if there is none."""
        name = m.GetVariable(name).key
        found: Any = self._scope().get(name)
        if found is None:
            known = ", ".join(each.name for each in self.list()[:8]) or "none yet"
            raise ValidationError(f"there is no template {name!r}; there are: {known}", field="template")
        return _template(found)

    def list(self) -> list[Template]:
        """Return all templates, by name."""
        found: dict[str, Any] = {**self._scope().list()}
        return [_template(each) for each in found.values()]

    @checked
    def delete(self, name: str) -> bool:
        """Delete a template and return whether it existed."""
        return self._scope().delete(name)


def _template(stored: dict[str, Any]) -> Template:
    return Template(stored["name"], stored["name_prefix"], tuple(stored["tags"]), stored["metadata"], stored["config"])
