"""Users, API keys, and what each may do."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from imaging_gears.sandbox.site.errors import ApiError, forbidden

if TYPE_CHECKING:
    from imaging_gears.sandbox.store import Store

Json = dict[str, Any]
Role = Literal["admin", "read-write", "read-only"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, as the key tells.

    Attributes:
        user: id of the user that the key acts for.
        role: what it may do where it may be: ``admin``, ``read-write`` or ``read-only``.
        projects: ids of the projects that it is limited to; None is the whole site.
        origin: what uploads are marked with: type (user, job, gear_rule, device, system) and id.
    """

    user: str
    role: Role
    projects: tuple[str, ...] | None
    origin: tuple[str, str]

    @property
    def origin_json(self) -> Json:
        """The origin, as documents carry it."""
        return {"type": self.origin[0], "id": self.origin[1]}

    def sees(self, doc: Json) -> bool:
        """Tell whether a container or file lies within the projects of the key."""
        if self.projects is None:
            return True
        own = doc["_id"] if doc.get("container_type") == "project" else None
        return (own or (doc.get("parents") or {}).get("project")) in self.projects

    def need_read(self, doc: Json) -> None:
        """Raise ApiError 403 unless the key may read `doc`."""
        if not self.sees(doc):
            msg = "User does not have access to this container."
            raise forbidden(msg)

    def need_write(self, doc: Json) -> None:
        """Raise ApiError 403 unless the key may change `doc`."""
        self.need_read(doc)
        if self.role == "read-only":
            msg = "User does not have permission to modify this container."
            raise forbidden(msg)

    def need_admin(self) -> None:
        """Raise ApiError 403 unless the key is a site administrator's."""
        if self.role != "admin" or self.projects is not None:
            msg = "User must be a site administrator."
            raise forbidden(msg)


SYSTEM = Principal("system", "admin", None, ("system", "system"))


class Access:
    """The users of the site and their keys."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_user(self, user: str, role: Role, projects: list[str] | None = None) -> str:
        """Make a user, and return the secret of its key."""
        limited = tuple(projects) if projects is not None else None
        secret = self.add_key(Principal(user, role, limited, ("user", user)))
        doc = {"_id": user, "role": role, "projects": projects, "key": secret}
        self._store.put("user", user, doc)
        return secret

    def add_key(self, principal: Principal) -> str:
        """Make a key for `principal`, and return its secret."""
        secret = secrets.token_urlsafe(24)
        self._store.put("key", secret, asdict(principal), parent=principal.user)
        return secret

    def revoke(self, secret: str) -> None:
        """Make a key invalid."""
        self._store.remove("key", secret)

    def secret_of(self, user: str) -> str:
        """Return the secret of a user's own key.

        Raises:
            KeyError: no such user.
        """
        doc = self._store.get("user", user)
        if doc is None:
            raise KeyError(user)
        return str(doc["key"])

    def principal_of_user(self, user: str) -> Principal:
        """Return what a user may do.

        Raises:
            KeyError: no such user.
        """
        doc = self._store.get("user", user)
        if doc is None:
            raise KeyError(user)
        limited = tuple(doc["projects"]) if doc["projects"] is not None else None
        return Principal(user, doc["role"], limited, ("user", user))

    def authenticate(self, authorization: str) -> Principal:
        """Return whose key the Authorization header holds: ``scitran-user KEY`` or ``Bearer KEY``.

        Raises:
            ApiError: 401.
        """
        scheme, _, key = authorization.partition(" ")
        doc = self._store.get("key", key.strip().rpartition(":")[2])
        if doc is None or scheme.lower() not in ("scitran-user", "bearer"):
            raise ApiError(401, "Invalid or missing API key.")
        limited = tuple(doc["projects"]) if doc["projects"] is not None else None
        return Principal(doc["user"], doc["role"], limited, (doc["origin"][0], doc["origin"][1]))
