"""Who is let in."""

from __future__ import annotations

import itertools

from .conftest import Served


def test_the_address_lets_a_browser_in_once_and_hides_the_token(served: Served) -> None:
    first = served.ask(f"/?token={served.token}", known=False)
    assert (first.status, first.headers["location"]) == (303, "/")
    cookie, *flags = first.headers["set-cookie"].split("; ")
    assert cookie == f"avse-{served.port}={served.token}"
    assert {flag.lower() for flag in flags} == {"httponly", "path=/", "samesite=strict"}
    page = served.ask("/", known=False, Cookie=cookie)
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert served.token.encode() not in page.body


def test_a_link_from_another_site_lets_in_without_a_redirect_that_drops_the_cookie(
    served: Served,
) -> None:
    first = served.ask(f"/?token={served.token}", known=False, Sec_Fetch_Site="cross-site")
    assert first.status == 200
    assert "set-cookie" in first.headers
    assert b'content="0;url=/"' in first.body


def test_a_tool_may_give_the_token_with_each_request(served: Served) -> None:
    assert served.ask(f"/api/state?token={served.token}", known=False).status == 200
    assert served.ask(f"/api/undo?token={served.token}", {}, known=False).status == 200


def test_without_the_token_nothing_is_told(served: Served) -> None:
    paths = ["/", "/api/state", "/media", "/static/page.js", "/nowhere"]
    queries = ["", "?token=", "?token=wrong", "?token=%ff%00", "?token=%C3%A9"]
    for path, query in itertools.product(paths, queries):
        answer = served.ask(path + query, known=False)
        assert answer.status == 403, path + query
        assert "set-cookie" not in answer.headers
        assert b"avse open" in answer.body
        if path.startswith("/api/"):
            assert set(answer.json) == {"error", "hint"}


def test_a_wrong_cookie_is_none(served: Served) -> None:
    name, token = f"avse-{served.port}", served.token
    for cookie in ("", f"{name}=", f"{name}=wrong", f"avse-1={token}", f"token={token}", ";;=\xff"):
        assert served.ask("/api/state", known=False, Cookie=cookie).status == 403, cookie


def test_a_wrong_token_is_not_made_good_by_the_cookie(served: Served) -> None:
    assert served.ask("/?token=wrong").status == 403


def test_only_this_server_s_names_are_answered_to(served: Served) -> None:
    port = served.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        assert served.ask("/api/state", Host=host).status == 200
    for host in (
        f"attacker.example:{port}",
        f"127.0.0.1.attacker.example:{port}",
        "127.0.0.1",
        f"localhost:{port + 1}",
        f"0.0.0.0:{port}",
        f"[::1]:{port}",
        "",
    ):
        assert served.ask("/api/state", Host=host).status == 403, host
        assert served.ask(f"/?token={served.token}", Host=host).status == 403, host


def test_only_this_page_s_requests_are_answered(served: Served) -> None:
    own = f"http://127.0.0.1:{served.port}"
    assert served.ask("/api/undo", {}, Origin=own, Sec_Fetch_Site="same-origin").status == 200
    for origin in (
        "https://attacker.example",
        "null",
        "http://127.0.0.1",
        f"http://127.0.0.1:{served.port + 1}",
        f"http://localhost:{served.port}",
        f"https://127.0.0.1:{served.port}",
    ):
        assert served.ask("/api/undo", {}, Origin=origin).status == 403, origin
    for site in ("cross-site", "same-site"):
        assert served.ask("/media", Sec_Fetch_Site=site).status == 403, site
    assert ("undo",) in served.session.asked
    assert len(served.session.asked) == 1


def test_every_answer_has_the_headers(served: Served) -> None:
    statuses = {"/": 200, "/api/state": 200, "/nowhere": 404, "/api/rest": 404, "/media": 200}
    for path, status in statuses.items():
        for answer, expected in ((served.ask(path), status), (served.ask(path, known=False), 403)):
            assert answer.status == expected
            policy = answer.headers["content-security-policy"].split("; ")
            assert "default-src 'self'" in policy
            assert "media-src 'self' blob:" in policy
            assert "img-src 'self' blob: data:" in policy
            assert "unsafe" not in "".join(policy)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in answer.headers
            assert "server" not in answer.headers


def test_no_path_leads_out(served: Served) -> None:
    for path in (
        "/static/../secret.txt",
        "/static/../../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/..%2fsecret.txt",
        "/static/..%5csecret.txt",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/below/deep.js",
        "/static/below%2fdeep.js",
        "/static/below",
        "/static/",
        "/static/page.js%00",
        "/static/PAGE.JS%ff",
        "/../server.py",
        "//etc/passwd",
        "/api/export/1/..%2f..%2fsecret.txt",
        "/api/export/1/%2fetc%2fpasswd",
        "/api/people/..%2f1/face.jpg",
    ):
        answer = served.ask(path)
        assert answer.status == 404, path
        assert b"secret" not in answer.body
        assert b"root:" not in answer.body


def test_the_page_s_own_files_are_served_with_their_types(served: Served) -> None:
    answer = served.ask("/static/page.js")
    assert (answer.status, answer.body) == (200, b"export {};")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert served.ask("/static/page.js", method="POST").status == 405
