"""Holding answers to the OpenAPI document: nothing is sent that it does not say."""

import json
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

PROBLEM = "application/problem+json"
CHECKED_HEADERS = ("location", "etag", "idempotent-replayed", "retry-after", "www-authenticate")
PAGES = ("/docs", "/openapi.json", "/static-offline-docs", "/page/")


class Documentation:
    """``seen`` grows with every call that was checked: operation id, status and code."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, int, str | None]] = set()
        self._paths = [(path.split("/"), item) for path, item in document["paths"].items()]
        self._validators: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def operations(self) -> dict[str, dict[str, Any]]:
        """All calls by their id."""
        return {call["operationId"]: call for _, item in self._paths for call in item.values()}

    def check(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> None:
        """Fail unless the document says that this call can be answered so. Names in ``headers``
        are in lower case."""
        if path == "/" or path.startswith(PAGES):
            return
        what = f"{method} {path} -> {status}: {body[:500]!r}"
        item = self._find(path)
        if item is None or method.lower() not in item:
            stray = self._check_problem(status, headers, body, what)
            assert stray in {"not_found", "method_not_allowed", "body_too_large"}, what
            return
        call = item[method.lower()]
        response = call["responses"].get(str(status))
        assert response is not None, f"the status is not documented: {what}"
        self._check_headers(response, headers, what)
        code = self._check_body(response, status, headers, body, what)
        self.seen.add((call["operationId"], status, code))

    def validate(self, schema: dict[str, Any], value: Any, what: str) -> None:
        """Fail unless a value is as a schema of the document says."""
        key = json.dumps(schema)
        if key not in self._validators:
            whole = {**schema, "components": self.document["components"]}
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        errors = [error.message for error in self._validators[key].iter_errors(value)]
        assert not errors, f"{errors}: {what}"

    def _find(self, path: str) -> dict[str, Any] | None:
        parts = path.split("/")
        # A path without parameters goes before one with, as OpenAPI has it.
        for template, item in sorted(self._paths, key=lambda path: "{" in "".join(path[0])):
            if len(template) == len(parts) and all(
                part if wanted.startswith("{") else wanted == part
                for wanted, part in zip(template, parts, strict=True)
            ):
                return dict(item)
        return None

    def _check_body(
        self,
        response: dict[str, Any],
        status: int,
        headers: Mapping[str, str],
        body: bytes,
        what: str,
    ) -> str | None:
        if "content" not in response:
            assert not body, what
            return None
        kind = headers["content-type"].split(";")[0]
        assert kind in response["content"], f"{kind} is not documented: {what}"
        media = response["content"][kind]
        if kind != PROBLEM:
            value = json.loads(body) if kind == "application/json" else body.decode()
            self.validate(media["schema"], value, what)
            return None
        code = self._check_problem(status, headers, body, what)
        assert code in media["examples"], f"the code is not documented: {what}"
        return code

    def _check_problem(
        self, status: int, headers: Mapping[str, str], body: bytes, what: str
    ) -> str:
        assert headers["content-type"] == PROBLEM, what
        problem = json.loads(body)
        self.validate({"$ref": "#/components/schemas/Problem"}, problem, what)
        assert problem["status"] == status, what
        return str(problem["code"])

    def _check_headers(
        self, response: dict[str, Any], headers: Mapping[str, str], what: str
    ) -> None:
        documented = {name.lower(): header for name, header in response["headers"].items()}
        for name in CHECKED_HEADERS:
            assert (name in headers) == (name in documented), f"{name}: {what}"
        known = self.document["components"]["headers"]
        for name, header in documented.items():
            if name not in headers:
                required = known[header["$ref"].rpartition("/")[2]].get("required", False)
                assert not required, f"{name} is missing: {what}"
                continue
            schema = {"$ref": header["$ref"] + "/schema"}
            self.validate(schema, headers[name], f"{name}: {what}")
