"""What a served model answered, to whom it may concern later: monitoring, labels, audits.

    records    one answered request
    privacy    which features are kept, and how
    entries    what may be written of a request
    segment    a local file that answers go to, the moment they are given
    framing    how records stand in it
    journal    such files read back
    writer     the open log of a server
    sealing    journals that nobody writes any more become Parquet
    sealer     the process that does so for a server; its other end is sealing_process
    reader     the log as one frame
    labels     what turned out to be true, joined by request and row
    retention  days that are too old go

    <stack.predictions>/<model>/day=2026-03-01/<segment>.parquet
    <stack.predictions>/<model>/labels/day=2026-03-02/<arrival>.parquet

Journals lie in `<stack.predictions>/<model>/journal` where that is a local folder, otherwise in
`$MLOPS_HOME/journal`: until they are sealed only this machine sees what is in them.
"""
