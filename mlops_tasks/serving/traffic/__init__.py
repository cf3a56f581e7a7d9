"""Two versions at once: a canary for some of the callers, a shadow for none of them.

    split       which keys the canary answers
    state       how traffic is split now, from the ledger
    trust       which versions may be started
    steps       how a decision is written, one at a time
    steering    start, widen, hold, withdraw
    shadow      asks a version off the path of the answers
    effects     how far scores and metrics of two samples are apart
    sides       what one version did, from the log
    comparison  both, and what the gate says to it
    trial       the same for what runs now
    findings    what it said, on record
    pods        one version's pod
    manifests   champion and canary for Kubernetes and KServe
    deployment  writes those of now
    words       all of it for a person

The server that splits is `serving.online`; nothing here listens to a port.
"""
