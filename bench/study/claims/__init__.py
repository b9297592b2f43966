"""The claims of the textbooks, each an experiment; importing one of these modules registers its claims."""
