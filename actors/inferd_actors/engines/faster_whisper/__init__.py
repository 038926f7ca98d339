"""Words from speech by Whisper models on CTranslate2. `prediction`: what a life will take of memory."""
