"""The routes, as a FastAPI application.

Requests and answers do not pass through FastAPI's own validation: a cell is judged by its column's
kind, in the words of `udt.serving.rows`, and an answer is text already when it gets here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from udt import __version__
from udt.errors import DataError, SettingsError, did_you_mean
from udt.serving.account import CONTENT_TYPE, Account
from udt.serving.batches import Batcher, Overloaded
from udt.serving.documents import describe, request_body, request_schemas
from udt.serving.guard import Guard
from udt.serving.page import read_page
from udt.serving.rows import InvalidRows
from udt.serving.store import ModelStore

PATHS = ("/", "/predict", "/explain", "/schema", "/health", "/metrics", "/openapi.json")

MAX_EXPLAINED, MAX_EXPLAINED_BYTES = 100, 1 << 17
"""What one request may have explained: it takes a hundred times as long as predicting it."""

_WAITING_REQUESTS = 64  # of the largest size
_BODY_TIMEOUT_S = 10.0
_JSON_TYPE = "application/json"
_SHOWN_CHARS = 40


class Limits(NamedTuple):
    """What one request may hold.

    Attributes
    ----------
    max_rows : int
        Rows.
    max_bytes : int
        Bytes of its body.
    """

    max_rows: int = 1_000
    max_bytes: int = 1 << 20


class Access(NamedTuple):
    """Who may ask.

    Attributes
    ----------
    token : str or None
        What requests have to bring along; None = nothing.
    hosts : frozenset of str
        See `udt.serving.guard.Guard`.
    """

    token: str | None = None
    hosts: frozenset[str] = frozenset()


# -- what the answers look like, for /openapi.json ---------------------------------------------


class Cost(BaseModel):
    """What a request has cost, estimated."""

    cpu_s: float
    energy_kwh: float
    co2e_g: float


class Prediction(BaseModel):
    """A row's answer; the likeliest classes first."""

    label: str | int | float | bool | list[str | int | float | bool] | None
    proba: dict[str, float]


class Predictions(BaseModel):
    """Answers, in the order of the rows."""

    predictions: list[Prediction]
    cost: Cost


class Explanations(BaseModel):
    """Explanations, in the order of the rows."""

    explanations: list[dict[str, Any]]
    cost: Cost


class Refusal(BaseModel):
    """Why a request was refused."""

    detail: str


class Error(BaseModel):
    """What is wrong with one part of a request."""

    loc: list[str | int]
    msg: str
    type: str


class Unprocessable(BaseModel):
    """What is wrong with a request, at most the first twenty findings."""

    detail: list[Error]


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "The body is no JSON."},
    401: {"model": Refusal, "description": "A token is wanted, and was not there."},
    408: {"model": Refusal, "description": "The body did not come in time."},
    413: {"model": Refusal, "description": "Too many rows or bytes."},
    415: {"model": Refusal, "description": "The body is not called JSON."},
    422: {"model": Unprocessable, "description": "Some part of the body cannot be read."},
    503: {"model": Refusal, "description": "Too much is waiting."},
}


# -- the service -------------------------------------------------------------------------------


class Service:
    """What stands behind the routes.

    Parameters
    ----------
    store : ModelStore
        What is served.
    account : Account
        Where everything is counted.
    limits : Limits
        What a request may hold.
    """

    def __init__(self, store: ModelStore, account: Account, limits: Limits) -> None:
        self.store, self.account, self.limits = store, account, limits
        most = limits.max_rows * _WAITING_REQUESTS
        self._predicts = Batcher(self._predict_all, "predict", limits.max_rows, most)
        self._explains = Batcher(self._explain_all, "explain", 1, MAX_EXPLAINED * 8)
        account.waiting_rows.set_function(
            lambda: self._predicts.waiting_rows + self._explains.waiting_rows
        )
        self.explain_limits = Limits(
            min(limits.max_rows, MAX_EXPLAINED), min(limits.max_bytes, MAX_EXPLAINED_BYTES)
        )
        self._document: tuple[str, dict[str, Any]] | None = None

    @contextlib.asynccontextmanager
    async def running(self, app: FastAPI) -> AsyncIterator[None]:
        """Work until left: answer what is asked, and watch the model's file."""
        self._predicts.start()
        self._explains.start()
        watch = asyncio.create_task(self.store.watch())
        try:
            yield
        finally:
            watch.cancel()
            await self._predicts.close()
            await self._explains.close()

    def _predict_all(self, jobs: Any) -> list[Any]:
        self.account.batch(sum(len(job.rows) for job in jobs))
        return self.store.served.answerer.predict(jobs)

    def _explain_all(self, jobs: Any) -> list[Any]:
        return self.store.served.answerer.explain(jobs)

    async def predict(self, request: Request) -> Response:
        """Predict rows."""
        return await self._answer(request, "predictions", "top_k", self._predicts, self.limits)

    async def explain(self, request: Request) -> Response:
        """Tell, for rows, which words and columns spoke for and against which class."""
        return await self._answer(
            request, "explanations", "label", self._explains, self.explain_limits
        )

    async def _answer(
        self, request: Request, what: str, wish_name: str, batcher: Batcher, limits: Limits
    ) -> Response:
        """Return the JSON of what a batcher says, and what that has cost."""
        entered = self.account.shares.enter()
        try:
            body = _parse(await _read_body(request, limits.max_bytes))
            rows, wish = self._read_request(body, wish_name, limits.max_rows)
            answer = await batcher.submit(rows, wish) if rows else ""
        finally:
            cpu_s = self.account.shares.leave(entered)
        cost = self.account.charge(request.scope["path"], len(rows), cpu_s)
        told = ",".join(f'"{key}":{value:.4g}' for key, value in cost.items())
        text = f'{{"{what}":[{answer}],"cost":{{{told}}}}}'
        return Response(text.encode(), media_type=_JSON_TYPE)

    def _read_request(self, body: Any, wish_name: str, max_rows: int) -> tuple[Any, Any]:
        """Return the rows of a request, and what else it wants.

        Raises
        ------
        InvalidRows
            It is of another form.
        HTTPException
            It has too many rows.
        """
        if not isinstance(body, dict):
            raise _invalid([], f"The body is {_kind(body)}. {_EXPECTED}")
        for key in body:
            if key not in ("rows", wish_name):
                shown = key[:_SHOWN_CHARS]
                hint = did_you_mean(shown, ("rows", wish_name))
                raise _invalid([shown], f"{shown!r} is not known. {_EXPECTED}{hint}")
        rows = body.get("rows")
        if not isinstance(rows, list):
            raise _invalid(["rows"], f"'rows' is {_kind(rows)}. {_EXPECTED}")
        if len(rows) > max_rows:
            raise HTTPException(
                413,
                f"Got {len(rows):,} rows. Expected at most {max_rows:,} in one request; send "
                "several requests.",
            )
        for i, row in enumerate(rows):
            if not isinstance(row, dict):
                raise _invalid(["rows", i], f"rows[{i}] is {_kind(row)}. {_EXPECTED}")
        wish = body.get(wish_name)
        if wish_name == "top_k":
            self._check_top_k(wish)
        return rows, wish

    def _check_top_k(self, top_k: Any) -> None:
        most = self.store.served.answerer.max_top_k
        if top_k is None or (type(top_k) is int and 1 <= top_k <= most):
            return
        shown = str(top_k)[:_SHOWN_CHARS]
        message = f"'top_k' is {shown!r}. Expected a whole number from 1 to {most}, or null."
        raise _invalid(["top_k"], message)

    # -- what is told of the service -----------------------------------------------------------

    async def page(self) -> Response:
        """Return a page to try the model on."""
        html, policy = read_page()
        headers = {
            "content-security-policy": policy,
            "cache-control": "no-cache",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }
        return Response(html, media_type="text/html", headers=headers)

    async def schema(self) -> JSONResponse:
        """Return what the model reads and tells."""
        limits = self.limits._asdict()
        limits |= {f"{name}_explained": n for name, n in self.explain_limits._asdict().items()}
        return JSONResponse(describe(self.store, limits, self.account.basis))

    async def health(self) -> JSONResponse:
        """Return which model is served; its answer means that requests are."""
        served = self.store.served
        return JSONResponse(
            {
                "status": "ok",
                "udt": __version__,
                "model": self.store.path.name,
                "sha256": served.sha256,
                "loaded_at": served.loaded_at.isoformat(timespec="seconds"),
                "model_bytes": served.n_bytes,
                "replaced": self.store.n_replaced,
                "problem": self.store.problem,
            }
        )

    async def metrics(self) -> Response:
        """Return counters in Prometheus' text format."""
        return Response(self.account.to_text(), headers={"content-type": CONTENT_TYPE})

    def document(self, app: FastAPI) -> dict[str, Any]:
        """Return the OpenAPI description, with the columns of the model that is served now."""
        served = self.store.served
        if self._document is None or self._document[0] != served.sha256:
            made = get_openapi(
                title=f"udt: {self.store.path.name}",
                version=__version__,
                summary=f"Predicts {served.answerer.model.target!r}.",
                routes=app.routes,
            )
            schemas = request_schemas(
                served.answerer, self.limits.max_rows, self.explain_limits.max_rows
            )
            made.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
            self._document = served.sha256, made
        return self._document[1]


def create_app(service: Service, access: Access) -> FastAPI:
    """Return the application.

    Parameters
    ----------
    service : Service
        What stands behind the routes.
    access : Access
        Who may ask.
    """
    # FastAPI's own pages of documentation load scripts from elsewhere; the page at / does not.
    app = FastAPI(
        title="udt", version=__version__, docs_url=None, redoc_url=None, lifespan=service.running
    )
    app.add_api_route("/", service.page, include_in_schema=False)
    for path, endpoint, body, answer in (
        ("/predict", service.predict, "PredictRequest", Predictions),
        ("/explain", service.explain, "ExplainRequest", Explanations),
    ):
        app.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            response_model=None,
            responses={200: {"model": answer}, **_REFUSALS},
            openapi_extra=request_body(body),
        )
    told: dict[int | str, dict[str, Any]] = {401: _REFUSALS[401]}
    app.add_api_route("/schema", service.schema, responses=told)
    app.add_api_route("/health", service.health)
    plain: dict[str, Any] = {
        "content": {"text/plain": {}},
        "description": "Prometheus' text format.",
    }
    app.add_api_route(
        "/metrics", service.metrics, response_class=Response, responses={200: plain, **told}
    )
    app.add_exception_handler(InvalidRows, _on_invalid_rows)
    app.add_exception_handler(DataError, _on_unusable)
    app.add_exception_handler(SettingsError, _on_unusable)
    app.add_exception_handler(Overloaded, _on_overloaded)
    app.add_middleware(Guard, account=service.account, token=access.token, hosts=access.hosts)
    app.openapi = lambda: service.document(app)  # type: ignore[method-assign]
    return app


# -- one request -------------------------------------------------------------------------------

_EXPECTED = 'Expected {"rows": [{"column": value, …}, …]}.'
_KINDS = {
    dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number",
    float: "a number", type(None): "missing or null",
}  # fmt: skip


def _kind(value: Any) -> str:
    return _KINDS[type(value)]


def _invalid(loc: list[str | int], message: str) -> InvalidRows:
    return InvalidRows([{"loc": ["body", *loc], "msg": message, "type": "form"}])


async def _read_body(request: Request, max_bytes: int) -> bytes:
    """Return a request's body.

    Raises
    ------
    HTTPException
        It is not called JSON, is too long, or did not come in time.
    """
    headers = request.headers
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != _JSON_TYPE and not (media.startswith("application/") and media.endswith("+json")):
        # Also keeps out forms of other sites, which browsers send without asking.
        raise HTTPException(
            415,
            f"The content type is {media[:100] or 'missing'}. Expected {_JSON_TYPE}.",
        )
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_long(max_bytes)
    parts, n_bytes = [], 0
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            async for part in request.stream():
                parts.append(part)
                n_bytes += len(part)
                if n_bytes > max_bytes:
                    raise _too_long(max_bytes)
    except TimeoutError:
        raise HTTPException(
            408, f"The body did not come within {_BODY_TIMEOUT_S:g} s. Send it at once."
        ) from None
    except ClientDisconnect:  # nobody reads this
        raise HTTPException(400, "The client has left.") from None
    return b"".join(parts)


def _too_long(max_bytes: int) -> HTTPException:
    return HTTPException(
        413,
        f"The body is longer than {max_bytes:,} bytes. Send fewer rows or shorter texts.",
        headers={"connection": "close"},  # the rest of it is not read
    )


def _parse(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise HTTPException(400, f"The body is no JSON: {error}. {_EXPECTED}") from None


async def _on_invalid_rows(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidRows)
    return JSONResponse({"detail": error.errors}, 422)


async def _on_unusable(request: Request, error: Exception) -> JSONResponse:
    told = {"loc": ["body"], "msg": str(error), "type": "unusable"}
    return JSONResponse({"detail": [told]}, 422)


async def _on_overloaded(request: Request, error: Exception) -> JSONResponse:
    detail = "Too many rows are waiting. Try again in a second, or send fewer at a time."
    return JSONResponse({"detail": detail}, 503, headers={"retry-after": "1"})
