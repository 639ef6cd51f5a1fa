"""For tests of agents in other interpreters: what every host promises, and hosts that are none."""
