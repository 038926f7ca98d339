"""A child of `text_busy`: another program that takes all it can get of one core."""

from __future__ import annotations

from child import end_with_parent, say

if __name__ == "__main__":
    end_with_parent()
    say(ready=True)
    while True:
        pass
