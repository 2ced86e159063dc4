"""Pages on which people decide about quarantined records: `/review/`, made here for each request, without a script.

What they decide goes through `assets.review`, like the decisions of `edgeloop quarantine`: whoever is second is told.
Every form answers with a redirect, so that reloading a page decides nothing twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from assets.errors import ConflictError, EdgeError, LineError, RejectedError
from assets.line.config import Line
from assets.storage.store import Store
from platform_defs.catalog import LineEntry, find_line, list_lines
from platform_defs.web.guard import Form, FormError, Sessions, read_form, remembered_name
from platform_defs.web.review import forms, pages
from platform_defs.web.review.quarantines import Quarantine, Quarantines
from platform_defs.web.review.render import HEADERS, Page, Refusal

MAX_UPLOAD = 32 * 1024**2
Handler = Callable[[Request, Page], str]
Taker = Callable[[Request, Form, Page], str]


def review_routes(
    store: Store,
    find: Callable[[str], Line] = find_line,
    entries: Callable[[], Sequence[LineEntry]] = list_lines,
) -> list[Route]:
    """The routes below `/review/`.

    Args:
        find, entries: where lines come from.
    """
    quarantines = Quarantines(store, find)
    sessions = Sessions()

    def shows(path: str, make: Handler) -> Route:
        return Route(path, functools.partial(_show, sessions, make), methods=["GET", "HEAD"])

    def takes(path: str, take: Taker, max_file: int = 0) -> Route:
        return Route(path, functools.partial(_take, sessions, take, max_file), methods=["POST"])

    def in_line(make: Callable[[Quarantine, Request, Page], str]) -> Handler:
        def call(request: Request, page: Page) -> str:
            with quarantines.enter(request.path_params["line"]) as quarantine:
                return make(quarantine, request, page)

        return call

    def form_in_line(take: Callable[[Quarantine, Request, Form], str]) -> Taker:
        def call(request: Request, form: Form, page: Page) -> str:
            with quarantines.enter(request.path_params["line"]) as quarantine:
                return take(quarantine, request, form)

        return call

    return [
        shows("/review/", lambda request, page: pages.lines(quarantines, entries(), page)),
        shows("/review/{line}", in_line(pages.line)),
        shows("/review/{line}/{batch}", in_line(pages.batch)),
        shows("/review/{line}/{batch}/{record}", in_line(pages.record)),
        takes("/review/{line}/release", form_in_line(forms.release)),
        takes("/review/{line}/revoke", form_in_line(forms.revoke)),
        takes("/review/{line}/waive", form_in_line(forms.waive)),
        takes("/review/{line}/{batch}/decide", form_in_line(forms.decide), MAX_UPLOAD),
    ]


async def _show(sessions: Sessions, make: Handler, request: Request) -> Response:
    session = sessions.of(request)
    page = Page(sessions.token(session), remembered_name(request), request.query_params.get("done", ""))
    try:
        text, status = await run_in_threadpool(make, request, page), 200
    except (EdgeError, ValueError) as error:
        missing = isinstance(error, (LineError, Refusal)) or "no quarantined record" in str(error)
        refusal = Refusal("This page cannot be shown", str(error), "/review/")
        text, status = pages.refused(refusal, page), 404 if missing else 400
    response = HTMLResponse(text, status, headers=HEADERS)
    sessions.remember(response, session)
    return response


async def _take(sessions: Sessions, take: Taker, max_file: int, request: Request) -> Response:
    session = sessions.of(request)
    back = request.url.path.rsplit("/", 1)[0]
    name = ""
    try:
        form = await read_form(request, max_file)
        sessions.check(request, form)
        name = form.one("who")[:100]
        page = Page(sessions.token(session), name, "")
        target = await run_in_threadpool(take, request, form, page)
    except FormError as error:
        refusal, status = Refusal("Nothing was decided", str(error), back), error.status
    except ClientDisconnect:
        return Response(status_code=400)
    except Refusal as error:
        refusal, status = error, 409 if error.again or error.others else 400
    except ConflictError as error:
        refusal, status = Refusal("Somebody decided first", str(error), back), 409
    except (RejectedError, EdgeError, ValueError) as error:
        refusal, status = Refusal("Nothing was decided", str(error), back), 400
    else:
        done = RedirectResponse(target, 303, headers=HEADERS)
        sessions.remember(done, session, name)
        return done
    page = Page(sessions.token(session), name or remembered_name(request), "")
    response = HTMLResponse(pages.refused(refusal, page), status, headers=HEADERS)
    if status != 403:  # a stranger's form sets nothing
        sessions.remember(response, session, name)
    return response
