"""What tests of agents and buses need: scripted peers, and promises to check."""
