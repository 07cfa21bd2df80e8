"""Routes of gears, gear rules, jobs and batches."""

from __future__ import annotations

from typing import Any

from imaging_gears.sandbox.site.addressed import CHANGED, container
from imaging_gears.sandbox.site.errors import bad_request, not_found
from imaging_gears.sandbox.site.finders import select
from imaging_gears.sandbox.site.http import Context, Router
from imaging_gears.sandbox.site.jobs import present
from imaging_gears.sandbox.site.rules import new_rule
from imaging_gears.sandbox.site.state import accepts
from imaging_gears.sandbox.store import new_id, now

Json = dict[str, Any]
router = Router()


# -- gears -----------------------------------------------------------------------------------


@router.route("GET", "/gears")
def find_gears(context: Context) -> object:
    """Find gears: the newest version of each name, or all with ``all_versions``."""
    gears = context.site.gears.all()
    if not context.flag("all_versions"):
        gears = list({gear["gear"]["name"]: gear for gear in gears}.values())
    return select(gears, context.query)


@router.route("GET", "/gears/{gear}")
def get_gear(context: Context) -> object:
    """Return a gear by id."""
    return context.site.gears.get(context.params["gear"])


@router.route("POST", "/gears/{gear}")
def add_gear(context: Context) -> object:
    """Register a manifest: ``{"category": ..., "gear": {...}}``."""
    context.principal.need_admin()
    body = context.object()
    manifest = body.get("gear")
    if not isinstance(manifest, dict) or manifest.get("name") != context.params["gear"]:
        msg = "The manifest's name must be the one in the path."
        raise bad_request(msg)
    return {"_id": context.site.gears.add(manifest, body.get("category"))["_id"]}


@router.route("GET", "/gears/{gear}/invocation")
def invocation(context: Context) -> object:
    """Return the manifest that an invocation is checked against."""
    return context.site.gears.get(context.params["gear"])["gear"]


# -- rules -----------------------------------------------------------------------------------


def _project(context: Context, *, write: bool = False) -> Json:
    context.params["kind"] = "projects"
    return container(context, write=write)


def _rule(context: Context, *, write: bool = False) -> Json:
    project = _project(context, write=write)
    rule = context.site.store.get("rule", context.params["rule"])
    if rule is None or rule["project_id"] != project["_id"]:
        what = "Rule"
        raise not_found(what)
    return rule


@router.route("GET", "/projects/{id}/rules")
def find_rules(context: Context) -> object:
    """Return the rules of a project."""
    rules = context.site.store.children("rule", _project(context)["_id"])
    return select(rules, context.query)


@router.route("POST", "/projects/{id}/rules")
def add_rule(context: Context) -> object:
    """Make a rule; files that are there already don't fire it."""
    return {"_id": context.site.add_rule(_project(context, write=True)["_id"], context.object())}


@router.route("GET", "/projects/{id}/rules/{rule}")
def get_rule(context: Context) -> object:
    """Return a rule."""
    return _rule(context)


@router.route("PUT", "/projects/{id}/rules/{rule}")
def update_rule(context: Context) -> object:
    """Change a rule."""
    old = _rule(context, write=True)
    rule = new_rule({**old, **context.object()}, old["_id"], old["project_id"])
    rule.update(modified=now(), revision=old["revision"] + 1)
    context.site.store.put("rule", rule["_id"], rule, parent=rule["project_id"])
    return rule


@router.route("DELETE", "/projects/{id}/rules/{rule}")
def delete_rule(context: Context) -> object:
    """Delete a rule."""
    context.site.store.remove("rule", _rule(context, write=True)["_id"])
    return {"deleted": 1}


# -- jobs ------------------------------------------------------------------------------------


def enqueue(context: Context, body: Json, destination: Json | None = None, **more: Any) -> Json:  # noqa: ANN401
    """Queue the job that a body describes.

    Args:
        context: the request; its key must be able to read the inputs and to write to the
            destination.
        body: ``gear_id``, ``inputs``, ``destination``, ``config``, ``tags``, ``priority``.
        destination: where to, if the body doesn't say.
        more: further fields of the job.

    Raises:
        ApiError: 400, 403, 404.
    """
    site = context.site
    gear = site.gears.get(str(body.get("gear_id")))
    inputs = {name: _input(context, ref) for name, ref in (body.get("inputs") or {}).items()}
    where = body.get("destination")
    if where:
        destination = site.hierarchy.get(str(where.get("id")), where.get("type"))
    elif destination is None and inputs:
        first = next(iter(inputs.values()))
        destination = site.hierarchy.get(first["parent_ref"]["id"])
    if destination is None:
        msg = "A job needs a destination."
        raise bad_request(msg)
    context.principal.need_write(destination)
    fields = {key: body.get(key) for key in ("config", "priority", "label")}
    tags = list(dict.fromkeys([gear["gear"]["name"], *(body.get("tags") or [])]))
    return site.queue.enqueue(
        gear, inputs, destination, context.principal, **fields, tags=tags, **more
    )


def _input(context: Context, ref: Json) -> Json:
    """Return the file that an input of a job names, as it is now."""
    files = context.site.files
    if ref.get("type") == "file":
        doc = files.get(str(ref.get("id")), ref.get("version"))
    else:
        parent = context.site.hierarchy.get(str(ref.get("id")), ref.get("type"))
        doc = files.named(parent["_id"], str(ref.get("name")), ref.get("version"))
    context.principal.need_read(doc)
    return doc


def _job(context: Context) -> Json:
    job = context.site.queue.get(context.params["job"])
    context.principal.need_read({"parents": job["parents"]})
    return job


@router.route("POST", "/jobs/add")
def add_job(context: Context) -> object:
    """Queue a job."""
    return {"_id": enqueue(context, context.object())["_id"]}


@router.route("GET", "/jobs")
def find_jobs(context: Context) -> object:
    """Find jobs."""
    jobs = [job for job in context.site.queue.all() if context.principal.sees(job)]
    return [present(job, listing=True) for job in select(jobs, context.query)]


@router.route("GET", "/jobs/{job}")
def get_job(context: Context) -> object:
    """Return a job."""
    return present(_job(context))


@router.route("GET", "/jobs/{job}/detail")
def get_job_detail(context: Context) -> object:
    """Return a job with its files."""
    job = _job(context)
    return {**present(job), "inputs": {}, "outputs": []}


@router.route("GET", "/jobs/{job}/config.json")
def get_job_config(context: Context) -> object:
    """Return the config as it was stored: without a key."""
    return _job(context)["config"]


@router.route("GET", "/jobs/{job}/logs")
def get_job_logs(context: Context) -> object:
    """Return what the job printed, a record a line."""
    job = _job(context)
    lines = context.site.queue.log(job["_id"]).splitlines(keepends=True)
    return {"_id": job["_id"], "logs": [{"fd": 1, "msg": line} for line in lines]}


@router.route("POST", "/jobs/{job}/retry")
def retry_job(context: Context) -> object:
    """Queue a failed job again."""
    new = context.site.queue.retry(_job(context)["_id"])
    return {"_id": new["_id"] if new else None}


@router.route("PUT", "/jobs/{job}")
def modify_job(context: Context) -> object:
    """Change the state: cancel."""
    job, body = _job(context), context.object()
    if body.get("state"):
        context.site.queue.move(job["_id"], body["state"])
    return CHANGED


# -- batches ---------------------------------------------------------------------------------


def _batch(context: Context) -> Json:
    batch = context.site.store.get("batch", context.params["batch"])
    if batch is None:
        what = "Batch"
        raise not_found(what)
    return batch


@router.route("POST", "/batch")
def propose_batch(context: Context) -> object:
    """Match containers with a gear's inputs."""
    site, body = context.site, context.object()
    gear = site.gears.get(str(body.get("gear_id")))
    found: Json = {"matched": [], "not_matched": [], "ambiguous": [], "improper_permissions": []}
    proposals = []
    for target in body.get("targets") or []:
        doc = site.hierarchy.get(str(target.get("id")))
        verdict, inputs = _match(context, gear["gear"], doc, body)
        found[verdict].append(doc["_id"] if verdict.startswith("improper") else site.show(doc))
        if verdict == "matched":
            proposals.append({"destination": _ref(doc), "inputs": inputs})
    batch = {**_blank_batch(context), "gear_id": gear["_id"], "config": body.get("config") or {}}
    batch["_proposals"] = [{**item, "gear_id": gear["_id"], **_wishes(body)} for item in proposals]
    site.store.put("batch", batch["_id"], batch)
    policy = body.get("optional_input_policy") or "ignored"
    return {**_public(batch), **found, "optional_input_policy": policy}


@router.route("POST", "/batch/jobs")
def propose_jobs(context: Context) -> object:
    """Take jobs that are described one by one."""
    jobs = context.object().get("jobs") or []
    batch = {**_blank_batch(context), "_proposals": jobs, "proposal": {"preconstructed_jobs": jobs}}
    context.site.store.put("batch", batch["_id"], batch)
    return _public(batch)


@router.route("GET", "/batch")
def find_batches(context: Context) -> object:
    """Return all batches."""
    return [_public(batch) for batch in context.site.store.all("batch")]


@router.route("GET", "/batch/{batch}")
def get_batch(context: Context) -> object:
    """Return a batch."""
    return _public(_batch(context))


@router.route("POST", "/batch/{batch}/run")
def run_batch(context: Context) -> object:
    """Queue the jobs of a batch, and return them."""
    batch = _batch(context)
    if batch["state"] != "pending":
        msg = "The batch was run before."
        raise bad_request(msg)
    jobs = [enqueue(context, body, batch=batch["_id"]) for body in batch["_proposals"]]
    batch.update(state="running", jobs=[job["_id"] for job in jobs], modified=now())
    context.site.store.put("batch", batch["_id"], batch)
    return [present(job) for job in jobs]


@router.route("POST", "/batch/{batch}/cancel")
def cancel_batch(context: Context) -> object:
    """Cancel the jobs of a batch that have not ended."""
    batch = _batch(context)
    alive = [job for job in context.site.queue.unfinished() if job["batch"] == batch["_id"]]
    for job in alive:
        context.site.queue.move(job["_id"], "cancelled")
    context.site.store.put("batch", batch["_id"], {**batch, "state": "cancelled"})
    return {"number_cancelled": len(alive)}


def _match(context: Context, manifest: Json, doc: Json, body: Json) -> tuple[str, Json]:
    """Return what becomes of one target, and its inputs."""
    if not context.principal.sees(doc) or context.principal.role == "read-only":
        return "improper_permissions", {}
    files = context.site.files.of(doc["_id"])
    policy = body.get("optional_input_policy") or "ignored"
    inputs: Json = {}
    for name, spec in manifest["inputs"].items():
        optional = bool(spec.get("optional"))
        if spec["base"] != "file" or (optional and policy == "ignored"):
            continue
        fitting = [file for file in files if accepts(spec, file["type"])]
        if len(fitting) > 1:
            return "ambiguous", {}
        if fitting:
            inputs[name] = {**_ref(doc), "name": fitting[0]["name"]}
        elif not optional or policy == "required":
            return "not_matched", {}
    return "matched", inputs


def _ref(doc: Json) -> Json:
    return {"type": doc["container_type"], "id": doc["_id"]}


def _wishes(body: Json) -> Json:
    return {key: body.get(key) for key in ("config", "tags", "priority")}


def _blank_batch(context: Context) -> Json:
    batch = {"_id": new_id(), "state": "pending", "jobs": [], "created": now(), "modified": now()}
    return {**batch, "origin": context.principal.origin_json}


def _public(batch: Json) -> Json:
    return {key: value for key, value in batch.items() if key == "_id" or key[0] != "_"}
