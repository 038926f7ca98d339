"""Other protocols' front doors (OpenAI HTTP, Wyoming), each an ordinary client of the socket.

Covers nothing yet: the doors come with the parts that need them. See also: `inferd`, the only package used here.
"""
