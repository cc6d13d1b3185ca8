"""Who is answered, and who may write."""

import pytest

from interlock.console.guard import HEADERS, POLICY, own_hosts, refused_read, refused_write

HOSTS = own_hosts(8080)
OWN = {"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080", "sec-fetch-site": "same-origin"}


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_own_names_are_answered(host):
    assert refused_read({"host": host}, HOSTS) == ""


@pytest.mark.parametrize(
    "host", ["", "evil.example:8080", "127.0.0.1", "127.0.0.1:8081", "127.0.0.1:8080.evil.example"]
)
def test_other_names_are_not(host):
    assert refused_read({"host": host}, HOSTS)


def test_own_form_is_taken():
    assert refused_write(OWN, HOSTS, "secret", "secret") == ""
    assert refused_write({"host": "localhost:8080"}, HOSTS, "secret", "secret") == ""  # no browser: curl with the token


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "https://127.0.0.1:8080"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_are_refused_even_with_the_token(change):
    assert "another site" in refused_write({**OWN, **change}, HOSTS, "secret", "secret")


@pytest.mark.parametrize("given", ["", "guess", "secreté"])
def test_no_write_without_the_token(given):
    assert "another console process" in refused_write(OWN, HOSTS, given, "secret")


def test_policy_allows_nothing_from_elsewhere_and_no_inline_script():
    rules = dict(rule.strip().split(" ", 1) for rule in POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert "http" not in POLICY


def test_browsers_may_tell_us_the_origin_of_our_own_form():
    """Under no-referrer they send "Origin: null", which is refused."""
    assert HEADERS["referrer-policy"] == "same-origin"
