"""Requests of foreign hosts or origins, or without the token, are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from pytest import MonkeyPatch

from metastyle.studio.app import create_app
from metastyle.studio.guard import HEADERS
from metastyle.studio.settings import StudioSettings

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture(scope="module")
def shared(settings: StudioSettings) -> TestClient:
    """A studio that listens on all interfaces; its worker is not started."""
    own = replace(settings, host="0.0.0.0", token=TOKEN, folder=settings.folder / "shared")
    return TestClient(create_app(own), base_url="http://studio.example:8741", follow_redirects=False)


@pytest.fixture(scope="module")
def local(settings: StudioSettings) -> TestClient:
    own = replace(settings, folder=settings.folder / "local")
    return TestClient(create_app(own), base_url="http://127.0.0.1:8741")


def test_every_answer_has_headers_of_isolation(local: TestClient) -> None:
    for path in ("/", "/api/studio", "/api/nothing", "/model/theta.f16"):
        headers = local.get(path).headers
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "http" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", ["127.0.0.1:8741", "localhost:8741", "[::1]:8741", "localhost"])
def test_local_hosts_are_accepted(local: TestClient, host: str) -> None:
    assert local.get("/api/studio", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example:8741", "", "192.168.0.1", "[", "[::1", "a]b", "[x]", "\xe9"],
)
def test_other_hosts_are_refused(local: TestClient, host: str) -> None:
    """A foreign name that resolves to this machine (DNS rebinding) is refused."""
    assert local.get("/api/studio", headers={"host": host.encode("latin-1")}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "127.0.0.1:8741"},
        {"origin": "http://127.0.0.1:8741@evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_requests_of_other_sites_are_refused(local: TestClient, headers: dict[str, str]) -> None:
    for method in ("POST", "DELETE", "PATCH", "PUT"):
        assert local.request(method, "/api/styles/night", headers=headers).status_code == 403


def test_requests_of_the_page_and_of_programs_are_accepted(local: TestClient) -> None:
    own = {"origin": "http://127.0.0.1:8741", "sec-fetch-site": "same-origin"}
    for headers in (own, {}):
        assert local.post("/api/styles", content=b"x", headers=headers).status_code == 422


def test_documents_must_be_small_and_state_their_length(local: TestClient) -> None:
    kind = {"content-type": "application/json"}
    for path in ("/api/paintings", "/api/films", "/api/mixtures", "/api/jobs/a/stop"):
        assert local.post(path, content=b" " * (2 << 20), headers=kind).status_code == 413
        chunks = (b" " * 1000 for _ in range(3))
        assert local.post(path, content=chunks, headers=kind).status_code == 411


def test_a_shared_studio_requires_a_token(shared: TestClient) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"cookie": "metastyle_token=wrong"}):
        for path in ("/", "/api/studio", "/model/theta.f16", "/api/openapi.json"):
            answer = shared.get(path, headers=headers)
            assert answer.status_code == 401
            assert "token" in answer.json()["error"]
    good = {"authorization": f"Bearer {TOKEN}"}
    assert shared.get("/api/studio", headers=good).status_code == 200


def test_the_token_in_the_address_becomes_a_cookie(shared: TestClient) -> None:
    assert shared.get("/?token=wrong").status_code == 401
    answer = shared.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    with_cookie = {"cookie": cookie.split(";")[0]}
    assert shared.get("/api/studio", headers=with_cookie).status_code == 200


def test_a_wrong_token_in_the_address_does_not_replace_the_cookie(shared: TestClient) -> None:
    for wrong in ("wrong", "x%0d%0aset-cookie:%20a=b"):
        answer = shared.get(f"/?token={wrong}", headers={"cookie": f"metastyle_token={TOKEN}"})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers


def test_an_unexpected_error_has_the_headers_and_no_path(
    settings: StudioSettings, monkeypatch: MonkeyPatch
) -> None:
    own = replace(settings, folder=settings.folder / "broken")
    app = create_app(own)
    client = TestClient(app, base_url="http://127.0.0.1:8741", raise_server_exceptions=False)

    def broken(*_: object) -> None:
        raise RuntimeError(f"{own.folder}/picture/secret is broken")

    monkeypatch.setattr(app.state.store, "item", broken)
    answer = client.get("/api/pictures/a")
    assert answer.status_code == 500
    assert answer.json()["error"] == "unexpected RuntimeError: the file is broken (this is a bug)"
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
