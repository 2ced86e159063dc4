"""Everything that runs on one machine: daemon, runner, UI."""
