"""Other protocols' front doors, each an ordinary client of the socket, in a process of its own.

Covers: `wyoming`, by which Home Assistant and its satellites hear and speak. See also: `inferd`, all that is used
of ours.
"""
