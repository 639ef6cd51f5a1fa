"""Search for inputs on which the project is wrong: `python -m tests.fuzz`, or `make fuzz`."""
