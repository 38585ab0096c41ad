"""A model behind HTTP: predictions, explanations, and a page to try it on.

::

    rows        JSON rows -> a table of the model's columns, or what is wrong with which cell
    answers     tables -> JSON answers
    batches     what waits together is worked on together, off the event loop
    store       the model that is served; a new file takes its place
    account     CPU time, energy and CO2e of each request; what Prometheus reads
    guard       who may ask
    documents   what is told of the model and of the interface: /schema, /openapi.json
    page        the page at /
    app         the routes
    server      socket, signals, uvicorn

FastAPI, uvicorn and prometheus_client come with the extra ``serve``; only `account`, `guard`,
`app` and `server` import them, and only the command ``udt serve`` imports those.
"""
