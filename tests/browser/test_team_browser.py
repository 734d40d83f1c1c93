"""A dashboard served to a team: the README's lines for nginx, the log-in, one model service for two."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from hormesis.dashboard.access.guard import COOKIE
from hormesis.dashboard.launch import free_port, wait_until_open
from tests.browser.actions import generate, opened, panes_of, texts
from tests.browser.conftest import Live
from tests.browser.screens import SCREENS, small_texts, violations
from tests.browser.test_live import TEN, expected_texts, steer
from tests.dashboard.test_host_check import handshake
from tests.fixtures.readme import readme_block
from tests.fixtures.service_world import World, pane, server
from tests.fixtures.tiny_study import command
from tests.screenshots import THEMES, served, settle

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser-team")]
TOKEN = "correct horse battery staple"
NAME, LOCAL_NAME = "lab.example", "lab.localhost"
"""The README's, and one that browsers lead to this machine."""
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
CONFIGURATION = """
daemon off; pid {folder}/nginx.pid; error_log stderr; {user}
events {{ }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen 127.0.0.1:{port}; server_name {name}; {snippet} }}
    server {{ listen 127.0.0.1:{bare_port}; location / {{ proxy_pass {untold}; }} }}
}}
"""


@dataclass(frozen=True)
class Team:
    """Ports of nginx: before a dashboard that was told of it, and before one that was not."""

    port: int
    bare_port: int

    @property
    def url(self) -> str:
        """The dashboard's address for the team."""
        return f"http://{LOCAL_NAME}:{self.port}/hormesis"


@pytest.fixture(scope="module")
def team(finished_url: str, small_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The README's command and its lines for nginx, with ports and a name of the test."""
    if NGINX is None:
        pytest.skip("no nginx; Debian's package nginx-light has it")
    folder = tmp_path_factory.mktemp("nginx")
    port, team = free_port("127.0.0.1", 0), Team(free_port("127.0.0.1", 0), free_port("127.0.0.1", 0))
    words = shlex.split(readme_block("Serving a team", "sh").splitlines()[-1].replace(NAME, LOCAL_NAME))
    line = command(*words[1:], "--port", str(port), "--service", "http://127.0.0.1:9")
    snippet = readme_block("Serving a team", "nginx").replace("127.0.0.1:8501", f"127.0.0.1:{port}")
    (folder / "nginx.conf").write_text(
        CONFIGURATION.format(
            folder=folder,
            user="user root;" if os.geteuid() == 0 else "",
            port=team.port,
            name=LOCAL_NAME,
            snippet=snippet,
            bare_port=team.bare_port,
            untold=finished_url,
        )
    )
    environment = os.environ | {"HORMESIS_DB": f"sqlite:///{small_database}", "HORMESIS_TOKEN": TOKEN}
    proxy = subprocess.Popen([NGINX, "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf")])
    dashboard = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until_open(f"http://127.0.0.1:{port}/hormesis", dashboard)
        wait_until_open(f"http://127.0.0.1:{team.port}/hormesis", proxy)
        yield team
    finally:
        dashboard.send_signal(signal.SIGINT)
        proxy.send_signal(signal.SIGQUIT)
        assert dashboard.wait(timeout=60) == 0
        assert proxy.wait(timeout=60) == 0


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A viewer without a cookie."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    yield context
    context.close()


def log_in(page: Page, token: str) -> None:
    page.get_by_label("Token").fill(token)
    page.get_by_role("button", name="Log in").click()


def test_a_viewer_logs_in_sees_a_deep_link_and_starts_nothing(team: Team, context: BrowserContext) -> None:
    page = context.new_page()
    link = f"{team.url}/geometry?part=Heads"
    page.goto(link)
    expect(page.get_by_label("Token")).to_be_focused()
    log_in(page, TOKEN[:-1])
    expect(page.get_by_role("alert")).to_have_text("This is not the token of this dashboard.")
    assert not context.cookies() and page.url == link
    log_in(page, TOKEN)
    settle(page)
    expect(page.get_by_role("radio", name="Heads", exact=True)).to_be_checked()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    assert page.url == link
    (cookie,) = [cookie for cookie in context.cookies(team.url) if cookie["name"] == COOKIE]
    assert (cookie["path"], cookie["httpOnly"], cookie["sameSite"]) == ("/hormesis", True, "Lax")
    page.get_by_role("link", name="Runs", exact=True).click()
    page.wait_for_url(f"{team.url}/runs**")
    page.get_by_role("tab", name="Start a study").click()
    refusal = page.get_by_text(f"served by a proxy as {LOCAL_NAME}, where others could reach it")
    expect(refusal.last).to_be_visible()
    assert page.get_by_role("button", name="Check").count() == 0
    with page.expect_download() as download:
        page.get_by_role("button", name="Report (HTML)").click()
    assert download.value.path().stat().st_size > 100_000
    page.get_by_role("link", name="Steer live").click()
    page.wait_for_url(f"{team.url}/steer**")

    host, sent = f"{LOCAL_NAME}:{team.port}", f"{COOKIE}={cookie['value']}"
    addresses = {"": 403, f"{COOKIE}=viewer": 403, sent: 101}
    assert {text: handshake(team.port, f"{host}/hormesis", None, text) for text in addresses} == addresses


def test_only_the_named_proxy_and_names_are_answered(team: Team) -> None:
    def status(host: str) -> int:
        return httpx.get(f"http://127.0.0.1:{team.port}/hormesis/", headers={"host": host}).status_code

    assert [status(host) for host in (LOCAL_NAME, "localhost", "evil.example")] == [401, 401, 421]
    for address in ("/", "/runs", "/_stcore/host-config"):
        answer = httpx.get(f"http://127.0.0.1:{team.bare_port}{address}")
        assert answer.status_code == 403 and "--allow NAME or --base-path PATH" in answer.text


@pytest.mark.parametrize("theme", THEMES)
def test_the_log_in_page_can_be_read_by_everybody(team: Team, browser: Browser, theme: str) -> None:
    scheme = "dark" if theme == "dark" else "light"
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    for size in SCREENS:
        page.set_viewport_size(size)
        page.goto(team.url)
        log_in(page, "another")
        assert violations(page) == [] == small_texts(page)
        width: int = page.evaluate("document.documentElement.scrollWidth")
        assert width == size["width"] and page.locator("html").get_attribute("lang") == "en"
    context.close()


def test_two_dashboards_steer_on_one_service_with_a_token(
    world: World, context: BrowserContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HORMESIS_SERVICE_TOKEN", TOKEN)
    number = world.ids["dose-10"]
    with (
        server(world, "--host", "0.0.0.0", HORMESIS_TOKEN=TOKEN) as everywhere,
        served(world.url, everywhere.replace("0.0.0.0", "127.0.0.1")) as first,
        served(world.url, everywhere.replace("0.0.0.0", "127.0.0.1")) as second,
    ):
        assert httpx.get(f"{everywhere.replace('0.0.0.0', '127.0.0.1')}/models").status_code == 401
        pages = [(Live(world, url), context.new_page()) for url in (first, second)]
        for live, page in pages:
            opened(page, steer(live, prompt="the baker sells", model1=TEN, model2=TEN))
        for _, page in pages:
            generate(page)
        for live, page in pages:
            expected = expected_texts(live, [pane(number), pane(number, 2.0)], "the baker sells")
            assert texts(panes_of(page, 1, "done")) == expected
