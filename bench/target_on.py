"""What targets are on, by the names of suites and `gdjax.minibatch`, and in words."""

LOSS, HELD_OUT_LOSS, ERROR = "loss", "held_out_loss", "error"
NOUNS = {LOSS: "loss", HELD_OUT_LOSS: "held-out loss", ERROR: "error"}
