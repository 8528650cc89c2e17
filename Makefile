# The commands for contributors. They need only Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DAG ?= nightly_sales
SCENES ?= start trigger 5s 30s server waiters-50 waiters-100 large
FAST := tests/unit tests/integration
FIRST_HALF := $(sort $(wildcard tests/integration/test_[a-l]*.py))
OTHER_HALF := tests/unit $(filter-out $(FIRST_HALF),$(sort $(wildcard tests/integration/test_*.py)))
REAL := tests/airflow
OLD_AND_NEW := tests/versions
BESIDE := tests/contract tests/container
SCENES_OF_BOTH := $(addprefix tests/container/test_,step.py cancel.py random_interruptions.py cancel_while_airflow_is_slow.py)
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

.PHONY: demo test versions lint unit bench why container native kerberos image file lock clean help

demo: $(VENV)/ready ## Run the action once on a real Airflow 3 (DAG=failing_sales, slow_sales; DRY_RUN=true; KEEP=true)
	@$(BIN)/python -m dev.demo $(DAG) $(if $(filter true,$(DRY_RUN)),--dry-run) $(if $(filter true,$(KEEP)),--keep)

# Five processes side by side, each real Airflow in one of them. The scenarios of $(REAL) begin many
# steps at once, so those with Airflow 2 come later, and so do the Airflows of $(OLD_AND_NEW).
test: $(VENV)/ready ## Run lint and all tests, also on real Airflows and in the image
	@echo 'Running in parallel, about 15 minutes: Airflow 3 (printed first), Airflow 2, the other tests'
	@logs=$$(mktemp -d); \
	  { make --no-print-directory lint >"$$logs/lint" 2>&1 || { cat "$$logs/lint"; false; }; linted=$$?; \
	    nice -n 3 $(BIN)/python -m pytest $(OTHER_HALF) >"$$logs/other" 2>&1 && exit $$linted; } & other=$$!; \
	  nice -n 3 $(BIN)/python -m pytest $(FIRST_HALF) >"$$logs/first" 2>&1 & first=$$!; \
	  { $(BIN)/python -m pytest --part neither $(REAL) $(BESIDE) >"$$logs/beside" 2>&1; fakes=$$?; \
	    $(BIN)/python -m pytest $(OLD_AND_NEW) >"$$logs/versions" 2>&1 && exit $$fakes; } & beside=$$!; \
	  $(BIN)/python -m pytest --part airflow_2 $(BESIDE) $(REAL) >"$$logs/airflow-2" 2>&1 & two=$$!; \
	  $(BIN)/python -m pytest --part airflow_3 $(REAL) $(BESIDE); result=$$?; \
	  for part in $$first $$other $$beside $$two; do wait $$part || result=1; done; \
	  cat "$$logs/airflow-2" "$$logs/beside" "$$logs/first" "$$logs/other" "$$logs/versions"; rm -r "$$logs"; exit $$result

versions: $(VENV)/ready ## Try every Airflow from 2.0 to 3.4, renew docs/versions.md (VERSION=2.5.1)
	@$(BIN)/python -m dev.versions $(VERSION)

lint: $(VENV)/ready ## Check style, types, layers, the Dockerfile, action.yml and the workflows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml native/action.yml .github/actions/*/action.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.gitlab-ci examples/other-ci/gitlab-ci.yml
	$(BIN)/check-jsonschema --regex-variant python --builtin-schema vendor.azure-pipelines examples/other-ci/azure-pipelines.yml
	$(BIN)/actionlint -shellcheck $(BIN)/shellcheck -pyflakes ''
	$(BIN)/zizmor --offline --quiet --pedantic .

unit: $(VENV)/ready ## Run the fast tests only: no Airflow, no container
	$(BIN)/python -m pytest $(FAST)

bench: $(VENV)/ready ## Renew docs/benchmarks.md, 160 minutes (LONG=1, OUTAGE=1, LISTENER=1)
	@$(BIN)/python -m dev.waiting
	@$(BIN)/python -m dev.bench run $(SCENES) $(if $(LONG),10min 10min-airflow-2) $(if $(OUTAGE),outage) $(if $(LISTENER),listener)
	@$(BIN)/python -m dev.bench table

why: $(VENV)/ready ## Measure what other tools do when something goes wrong, renew docs/why.md (CASE=failed TOOL=af)
	@$(BIN)/python -m dev.why $(if $(CASE),--case $(CASE)) $(if $(TOOL),--tool $(TOOL))

container: $(VENV)/ready ## Test the image: a new one, or a given one (IMAGE=reference)
	$(BIN)/python -m pytest tests/container

native: $(VENV)/ready ## Test native/ in place of the image (NODE=path PYTHON_VERSION=3.11)
	FORM=native $(BIN)/python -m pytest $(SCENES_OF_BOTH)

kerberos: $(VENV)/ready ## Test Kerberos with a real KDC and a real Airflow 2
	$(BIN)/python -m pytest tests/kerberos

image: $(VENV)/ready ## Build the image; print its weight, its packages and its start time
	docker build --network host --tag airflow-dag-run:dev .
	@$(BIN)/python -m dev.image airflow-dag-run:dev

file: $(VENV)/ready ## Make native/airflow-dag-run.pyz, the action in one file; renew native/action.yml
	@$(BIN)/python -m pyz.metadata
	@$(BIN)/python -m pyz.build

# Without charset-normalizer: the action does not guess encodings, and loading the package took a
# sixth of the CPU time of importing `requests`.
lock: $(VENV)/ready ## Renew the lock files, with hashes and without the URL of a package index
	$(BIN)/$(COMPILE) pyproject.toml --no-emit-package charset-normalizer --output-file requirements.txt
	$(BIN)/$(COMPILE) pyproject.toml --group dev --output-file requirements-dev.txt
	$(BIN)/$(COMPILE) pyz/requirements.in --output-file pyz/requirements.txt
	$(BIN)/$(COMPILE) dev/locks/self-test.in --output-file dev/locks/self-test.txt
	$(BIN)/$(COMPILE) dev/locks/airflow-3.in --output-file dev/locks/airflow-3.txt
	$(BIN)/$(COMPILE) dev/locks/airflow-2.in --output-file dev/locks/airflow-2.txt
	for name in requests af paradime airflowctl; do \
	  $(BIN)/$(COMPILE) dev/locks/bench-$$name.in --output-file dev/locks/bench-$$name.txt || exit 1; done

clean: ## Remove all generated files
	rm -rf $(VENV) .airflow .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/ready: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo '$(PYTHON) is older than Python 3.11; give another: make PYTHON=python3.12 …' >&2; exit 1; }
	@echo 'Installing the tools into $(VENV) (once, about 15 s)'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt
	@touch $@
