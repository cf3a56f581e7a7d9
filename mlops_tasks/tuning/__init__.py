"""Better parameters: a study spread over processes, each trial a fit and an evaluation."""
