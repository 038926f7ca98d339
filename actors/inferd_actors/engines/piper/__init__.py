"""Text spoken by piper voices. `prediction`: what a life will take of memory."""
