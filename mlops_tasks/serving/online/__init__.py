"""A model behind HTTP: `app.application` is the ASGI app, `server.serve` runs it.

    options         limits and intervals of one server
    schema          the model's rows as types: what is decoded is what the model was trained on
    openapi         the same types as a document
    loading         a verified version, ready to answer
    shelf           the versions that are loaded, and those that did not load
    outages         whether that was a version's own fault
    standing, slot  who answers now, and the change to another
    keys            who may ask
    limits          how much may be asked, and for how long
    problems        every refusal as JSON
    metrics         what Prometheus sees
    answers         scoring and logging of one request
    scoring         threads for slow models, with a deadline
    endpoints, app  the routes
    patience, server  the process that listens

Nothing here knows Prefect, and nothing is imported before it is needed.
"""
