"""The output `run_url` in a real browser, through Airflow's own login."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dev.airflow import LocalAirflow
from dev.runner import ActionStep, Process
from tests.support.missing import missing

# Without a sandbox it runs as root, too. The other flags prevent requests to its vendor.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
TIMEOUT_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless."""
    executable = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if executable is None:
        missing("There is no Chromium", "Install one (on Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser without a session."""
    with browser.new_context() as context:
        context.set_default_timeout(TIMEOUT_MS)
        yield context.new_page()


def log_in(page: Page, airflow: LocalAirflow) -> None:
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill(airflow.users["admin"])
    page.locator("[type=submit]").first.click()


def test_run_url_opens_the_run_with_and_without_a_session(
    airflow: LocalAirflow, page: Page, tmp_path: Path
) -> None:
    """The page shows the run's id and note. A wrong run id shows neither."""
    airflow.wait_for_dag("quick_success")
    run_id = f"release-2026-01-02T03:04:05+00:00~{uuid.uuid4().hex}"
    note = f"Nothing else says {uuid.uuid4()}"
    inputs = {
        "airflow_url": airflow.url,
        "username": "admin",
        "password": airflow.users["admin"],
        "dag_id": "quick_success",
        "run_id": run_id,
        "note": note,
        "wait": "false",
    }
    result = ActionStep(inputs, launcher=Process(), workspace=tmp_path).run()
    assert result.exit_code == 0, result.log
    run_url = result.outputs["run_url"]

    page.goto(run_url)
    log_in(page, airflow)
    expect(page.get_by_text(run_id, exact=True).first).to_be_visible(timeout=TIMEOUT_MS)
    expect(page.get_by_text(note, exact=True).first).to_be_visible(timeout=TIMEOUT_MS)

    page.goto(run_url.replace("2026", "2027"))
    # Airflow 3 says that there is no such run; Airflow 2 shows the DAG and takes the run id out of
    # the address.
    if airflow.api == "/api/v2":
        expect(page.get_by_text("404 Not Found")).to_be_visible(timeout=TIMEOUT_MS)
    else:
        page.wait_for_url(f"{airflow.url}/dags/quick_success/grid", timeout=TIMEOUT_MS)
    assert page.get_by_text(note, exact=True).count() == 0

    page.goto(run_url)
    expect(page.get_by_text(note, exact=True).first).to_be_visible(timeout=TIMEOUT_MS)
    assert quote(run_id, safe="~") in run_url
