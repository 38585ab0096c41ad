"""The interface, asked over the loopback interface."""

from __future__ import annotations

import http.client
import socket
import threading

import pytest

from tests.serving.conftest import ROW


def detail(reply) -> str:
    told = reply.json["detail"]
    return told if isinstance(told, str) else "; ".join(error["msg"] for error in told)


# -- predictions -------------------------------------------------------------------------------


def test_rows_are_predicted_in_order_and_their_cost_is_told(server):
    reply = server.predict(ROW, {"text": "poor and broken"}, {"text": None}, {"text": "文 😀 é"})
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    told = reply.json
    assert list(told) == ["predictions", "cost"]
    assert [p["label"] for p in told["predictions"][:2]] == ["good", "bad"]
    for prediction in told["predictions"]:
        assert set(prediction["proba"]) == {"good", "bad"}
        assert sum(prediction["proba"].values()) == pytest.approx(1, abs=1e-5)
    assert 0 < told["cost"]["cpu_s"] < 10
    assert 0 < told["cost"]["co2e_g"] < 1


def test_no_rows_no_predictions(server):
    assert server.predict().json["predictions"] == []
    assert server.ask("POST", "/explain", {"rows": []}).json["explanations"] == []


def test_missing_and_extra_columns(server):
    alone = server.predict({"text": "good"}).json["predictions"]
    more = {"text": "good", "shop": None, "new": {"deep": [1]}, "label": "bad"}
    assert server.predict(more).json["predictions"] == alone


def test_top_k(server):
    (told,) = server.predict(ROW, top_k=1).json["predictions"]
    assert list(told["proba"]) == [told["label"]]
    for wrong in (0, 3, -1, True, 1.0, "1", [1]):
        reply = server.predict(ROW, top_k=wrong)
        assert reply.status == 422, wrong
        assert "whole number from 1 to 2" in detail(reply)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "no JSON"),
        (b"{", 400, "no JSON"),
        (b'{"rows": [{"text": NaN}]}', 400, "no JSON"),
        (b'{"rows": [{"text": "\xff"}]}', 400, "no JSON"),
        (b'{"rows": [{"text": "\\ud800"}]}', 400, "no JSON"),
        (b"[" * 9_000 + b"]" * 9_000, 400, "no JSON"),
        (b'{"rows": [{"price": ' + b"9" * 9_000 + b"}]}", 400, "out of range"),
        (b'{"rows": [{"price": ' + b"9" * 4_000 + b"}]}", 422, "not a number"),
        (b'{"rows": [{"price": 1e999}]}', 422, "inf is not a number"),
        (b"[]", 422, "The body is a list"),
        (b"null", 422, "The body is missing or null"),
        (b"{}", 422, "'rows' is missing or null. Expected {\"rows\":"),
        (b'{"rows": {}}', 422, "'rows' is an object"),
        (b'{"rows": ["good"]}', 422, "rows[0] is a text"),
        (b'{"row": []}', 422, "'row' is not known"),
        (b'{"rows": [], "top": 1}', 422, "Did you mean 'top_k'?"),
        (b'{"rows": [{"text": ["a"]}]}', 422, "rows[0], column 'text': ['a'] is no value"),
        (b'{"rows": [{"text": "a"}, {"price": "cheap"}]}', 422, "rows[1], column 'price': 'cheap'"),
        (b'{"rows": [{"day": "soon"}]}', 422, "Expected a text such as '2024-05-31'"),
        (b'{"rows": [{"texd": "a"}]}', 422, "Did you mean 'text'?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/predict", "/explain"])
def test_what_cannot_be_read_is_said(server, path, body, status, words):
    if path == "/explain" and b'"top"' in body:
        words = "'top' is not known"
    reply = server.ask("POST", path, body)
    assert (reply.status, words in detail(reply)) == (status, True), reply.body[:500]


def test_an_error_says_where(server):
    reply = server.predict({"text": "a"}, {"text": "a", "price": "cheap", "day": 3})
    places = {tuple(error["loc"]) for error in reply.json["detail"]}
    assert places == {("body", "rows", 1, "price"), ("body", "rows", 1, "day")}


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "json"])
def test_a_body_has_to_be_called_json(server, media):
    reply = server.ask("POST", "/predict", b'{"rows": []}', content_type=media)
    assert (reply.status, f"The content type is {media}." in detail(reply)) == (415, True)
    assert server.ask("POST", "/predict", b'{"rows": []}',
                      content_type="application/json; charset=utf-8").status == 200  # fmt: skip


# -- limits ------------------------------------------------------------------------------------


def test_too_many_rows(server):
    assert server.predict(*[ROW] * 50).status == 200
    reply = server.predict(*[{"text": "a"}] * 51)
    assert reply.status == 413
    assert "Got 51 rows. Expected at most 50" in detail(reply)


def test_too_many_bytes_are_refused_by_what_is_announced(server):
    reply = server.predict({"text": "a" * 20_000})
    assert (reply.status, "longer than 20,000 bytes" in detail(reply)) == (413, True)


def test_explaining_has_tighter_limits(serve, model_file):
    server = serve(model_file)
    told = server.ask("GET", "/schema").json["limits"]
    assert (told["max_rows"], told["max_rows_explained"]) == (1_000, 100)
    assert server.ask("POST", "/explain", {"rows": [{"text": "a"}] * 101}).status == 413
    longer = {"rows": [{"text": "a" * told["max_bytes_explained"]}]}
    assert server.ask("POST", "/explain", longer).status == 413
    assert server.ask("POST", "/predict", longer).status == 200


def test_too_many_bytes_are_refused_as_they_come(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    chunks = (b"a" * 5_000 for _ in range(5))
    connection.request("POST", "/predict", chunks, {"content-type": "application/json"},
                       encode_chunked=True)  # fmt: skip
    assert connection.getresponse().status == 413
    connection.close()
    assert server.predict(ROW).status == 200


def test_a_client_that_leaves_harms_nobody(server):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            half.sendall(
                b"POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                b"content-length: 1000\r\n\r\n{"
            )
    assert server.predict(ROW).status == 200
    assert not [line for line in server.said if "Traceback" in line]


def test_what_is_asked_at_the_same_time_is_answered_to_each(server):
    answers: dict[int, object] = {}

    def ask(i: int) -> None:
        row = ROW if i % 2 else {"text": "poor broken late"}
        answers[i] = [server.predict(row).json["predictions"][0] for _ in range(10)]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    for i, told in answers.items():
        assert {p["label"] for p in told} == {"good" if i % 2 else "bad"}


# -- what is told ------------------------------------------------------------------------------


def test_explanations(server):
    reply = server.ask("POST", "/explain", {"rows": [ROW], "label": "bad"})
    assert reply.status == 200, reply.body
    (told,) = reply.json["explanations"]
    assert told["prediction"] == "good"
    assert "bad" in {c["label"] for c in told["classes"]}
    assert reply.json["cost"]["cpu_s"] > 0
    unknown = server.ask("POST", "/explain", {"rows": [ROW], "label": "ugly"})
    assert (unknown.status, "ugly" in detail(unknown)) == (422, True)


def test_schema_says_how_to_fill_in_a_row(server):
    told = server.ask("GET", "/schema").json
    assert (told["target"], told["classes"], told["multi_label"]) == (
        "label",
        ["bad", "good"],
        False,
    )
    assert {c["column"]: c["kind"] for c in told["columns"]} == {
        "text": "text", "shop": "categorical", "price": "numeric", "day": "date", "tags": "multi",
    }  # fmt: skip
    by_name = {c["column"]: c for c in told["columns"]}
    assert set(by_name["shop"]["values"]) == {"north", "south"}
    assert by_name["tags"]["separator"] == "|"
    assert told["limits"]["max_rows"] == 50
    example = {c["column"]: c["example"] for c in told["columns"]}
    assert server.predict(example).status == 200


def test_health(server):
    told = server.ask("GET", "/health").json
    assert (told["status"], told["model"], told["problem"]) == ("ok", "things.udt", None)
    assert server.ask("GET", "/schema").json["sha256"] == told["sha256"]


def test_metrics_count_what_was_asked(server):
    pytest.importorskip("prometheus_client")
    from prometheus_client.parser import text_string_to_metric_families

    def rows() -> float:
        reply = server.ask("GET", "/metrics")
        assert reply.headers["content-type"].startswith("text/plain")
        families = text_string_to_metric_families(reply.body.decode())
        samples = [s for f in families for s in f.samples if s.name == "udt_rows_total"]
        return sum(s.value for s in samples if s.labels["path"] == "/predict")

    server.predict(ROW)
    before = rows()
    server.predict(ROW, ROW)
    assert rows() == before + 2


def test_the_description_tells_of_every_route_and_column(server):
    told = server.ask("GET", "/openapi.json").json
    assert set(told["paths"]) == {"/predict", "/explain", "/schema", "/health", "/metrics"}
    row = told["components"]["schemas"]["Row"]
    assert set(row["properties"]) == set(ROW)
    body = told["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["$ref"].endswith("/PredictRequest")
    request = told["components"]["schemas"]["PredictRequest"]
    assert request["properties"]["rows"]["maxItems"] == 50
    assert server.ask("POST", "/predict", request["example"]).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("POST", "/schema", 405),
        ("GET", "/docs", 404),
        ("GET", "/%00", 404),
    ],
)
def test_other_paths_and_methods(server, method, path, status):
    reply = server.ask(method, path)
    assert (reply.status, "detail" in reply.json) == (status, True)


# -- who may ask -------------------------------------------------------------------------------


def test_pages_under_strange_names_are_kept_out(server):
    reply = server.ask("GET", "/health", host="evil.example:80")
    assert (reply.status, "evil.example" in detail(reply)) == (421, True)
    for name in (f"localhost:{server.port}", "127.0.0.1", "[::1]:8000"):
        assert server.ask("GET", "/health", host=name).status == 200


def test_with_a_token_only_who_has_it_is_answered(serve, model_file):
    server = serve(model_file, UDT_TOKEN="s3cret-token")
    for path in ("/schema", "/metrics", "/openapi.json", "/nothing"):
        refused = server.ask("GET", path)
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert "has no token" in detail(refused)
    for wrong in ("Bearer s3cret-tokem", "Bearer ", "s3cret-token", "Bearer s3cret-token "[:-2]):
        assert server.ask("POST", "/predict", {"rows": [ROW]}, authorization=wrong).status == 401
    right = {"authorization": "Bearer s3cret-token"}
    assert server.ask("POST", "/predict", {"rows": [ROW]}, **right).status == 200
    assert server.ask("GET", "/health").status == server.ask("GET", "/").status == 200
    assert server.ask("GET", "/health", host="my.example").status == 200  # the token is enough
    assert b"s3cret" not in server.ask("GET", "/openapi.json", **right).body
