"""The same work in other systems, side by side with gdjax in one run: `python -m bench peers`."""
