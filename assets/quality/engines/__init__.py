"""The engines that put the suite's questions to records."""
