# Thin targets: what they do stands in tools/, in pyproject.toml and in the product itself.
# The stamps lie in the virtual environment, so that it and they go together.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MADE := $(VENV)/made.stamp
RUNTIME := $(VENV)/runtime.stamp
SPEECH := $(VENV)/speech.stamp
DEV := $(VENV)/dev.stamp
INSTALLERS := tools/install.py tools/llama_wheel.py tools/compiling.py tools/amx.py tools/pins.py

.DEFAULT_GOAL := help
.PHONY: help demo demo-voice test fuzz lint lock venv bench-spine bench-text bench-memory bench-cold bench-loads bench-speech soak-text soak-memory soak-voice clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: $(RUNTIME) ## install, pull the starter model, stream an answer; leaves nothing running
	$(BIN)/python -m inferd_cli demo

demo-voice: $(SPEECH) ## install, ask a question by voice, hear the answer: build/demo-voice has it and a picture of the turn
	$(BIN)/python -m inferd_cli demo-voice --folder build/demo-voice

test: $(DEV) ## every test (benches and soaks are not among them)
	$(BIN)/python -m pytest --ignore=tests/system/test_fuzz.py

fuzz: $(DEV) ## 30 s of mutated messages at the real daemon's socket, beside a healthy app
	$(BIN)/python -m pytest tests/system/test_fuzz.py

lint: $(DEV) ## ruff, mypy, codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

lock: $(DEV) ## renew requirements*.lock with the newest versions that pyproject.toml allows
	$(BIN)/python tools/relock.py

venv: $(RUNTIME) ## the environment that inferd runs in, without starting anything

bench-spine: $(DEV) ## what the way through the daemon costs: pings, tokens, first token, idle
	$(BIN)/python tests/bench/bench_spine.py

bench-text: $(DEV) ## text under load against bare llama.cpp and its servers; the first time builds llama-server, minutes
	$(BIN)/python tests/bench/bench_text.py

bench-speech: $(DEV) ## hearing, speaking and whole turns against faster-whisper, piper and wyoming-piper; 20 minutes
	$(BIN)/python tests/bench/bench_speech.py

bench-memory: $(DEV) ## who leaves when memory is short: made-up traces, against LRU and Belady's rule
	$(BIN)/python tests/bench/bench_memory.py

bench-cold: $(DEV) ## the first token of a stored model, from standby and without, against starting llama-server
	$(BIN)/python tests/bench/bench_cold.py

bench-loads: $(DEV) ## what a load costs those who stream meanwhile, and how well its memory is foreseen
	$(BIN)/python tests/bench/bench_loads.py

soak-text: $(DEV) ## 15 minutes of mixed text traffic: what grows, and whether every request ends (SOAK_S=60 for less)
	$(BIN)/python tests/bench/soak_text.py --seconds $(or $(SOAK_S),900)

soak-memory: $(DEV) ## half an hour of apps that want more models than fit: memory, waits, ends (SOAK_S=60 for less)
	$(BIN)/python tests/bench/soak_memory.py --seconds $(or $(SOAK_S),1800)

soak-voice: $(DEV) ## 200 conversations broken off at random moments: stale sound, words out of noise, what grows (SOAK_S=60 for less)
	$(BIN)/python tests/bench/soak_voice.py --seconds $(or $(SOAK_S),1200)

clean: ## remove the environment and what tools left in the tree; compiled wheels stay in the user's cache
	rm -rf $(VENV) build dist .bench .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE): tools/make_venv.py
	$(PYTHON) tools/make_venv.py $(VENV)
	@touch $@

$(RUNTIME): $(MADE) requirements.lock requirements-build.lock pyproject.toml $(INSTALLERS)
	$(BIN)/python tools/install.py runtime
	@touch $@

$(SPEECH): $(RUNTIME) requirements-speech.lock
	$(BIN)/python tools/install.py speech
	@touch $@

$(DEV): $(SPEECH) requirements-dev.lock
	$(BIN)/python tools/install.py dev
	@touch $@
